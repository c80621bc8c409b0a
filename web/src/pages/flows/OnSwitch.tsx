import { Anchor, Button, Group, List, Modal, Stack, Switch, Text, Tooltip } from "@mantine/core";
import { useState } from "react";
import { Link } from "wouter";
import { useCatalogue } from "@/api/catalogue";
import { ApiError } from "@/api/client";
import { useSession } from "@/app/session";
import type { Definition } from "@/definition/types";
import { namesIn } from "@/graph/nameOf";
import { notify } from "@/ui/notify";
import { messageOf } from "@/ui/states";
import { definitionOf, type Flow, useFlowActions } from "./flows";

function reasonOff(status: Flow["status"], mayEdit: boolean): string | undefined {
  if (!mayEdit) return "Requires the editor role";
  if (status === "archived") return "Restore the flow first";
  return undefined;
}

/** Activate or deactivate a flow. If the server refuses, list the problems with links to the nodes. */
export function OnSwitch({ flow }: { flow: Pick<Flow, "id" | "name" | "status" | "has_draft"> }) {
  const { may } = useSession();
  const { setStatus, publishActive } = useFlowActions();
  const [wanted, setWanted] = useState<boolean | null>(null);
  const [problem, setProblem] = useState<ApiError | null>(null);
  const [definition, setDefinition] = useState<Definition | null>(null);
  const reason = reasonOff(flow.status, may("editor"));

  async function turn(on: boolean) {
    setWanted(on);
    try {
      // As in the editor: the draft becomes the version that its triggers start.
      if (on && flow.has_draft) await publishActive(flow.id);
      else await setStatus(flow.id, on ? "active" : "draft");
      notify.done(on ? `“${flow.name}” is active` : `“${flow.name}” is inactive`);
    } catch (error) {
      if (error instanceof ApiError && error.details.length > 0) {
        setDefinition(
          await definitionOf(flow.id, flow.has_draft).then(
            (found) => found.definition,
            () => null,
          ),
        );
        setProblem(error);
      } else notify.refused(`“${flow.name}” could not be ${on ? "activated" : "deactivated"}`, error);
    } finally {
      setWanted(null);
    }
  }

  return (
    <>
      <Tooltip label={reason} disabled={reason === undefined} multiline maw={240}>
        <Switch
          aria-label={`Active: ${flow.name}`}
          checked={wanted ?? flow.status === "active"}
          disabled={reason !== undefined || wanted !== null}
          onChange={(event) => void turn(event.currentTarget.checked)}
          withThumbIndicator={false}
        />
      </Tooltip>
      <Problems flow={flow} definition={definition} problem={problem} onClose={() => setProblem(null)} />
    </>
  );
}

interface ProblemsProps {
  flow: Pick<Flow, "id" | "name">;
  /** For the names of nodes; null if it could not be loaded. */
  definition: Definition | null;
  problem: ApiError | null;
  onClose: () => void;
}

/** Return the field's part of a path: "nodes[2].config.url" -> "url". The node's name stands beside it. */
function fieldOf(path: string): string {
  return path.replace(/^nodes\[\d+\]\.?/, "").replace(/^config\./, "");
}

function Problems({ flow, definition, problem, onClose }: ProblemsProps) {
  const { catalogue } = useCatalogue();
  const names = definition === null ? null : namesIn(definition, catalogue);
  const details = problem?.details ?? [];
  return (
    <Modal
      opened={problem !== null}
      onClose={onClose}
      title="The flow cannot be activated"
      centered
      size="lg"
    >
      <Stack>
        <Text size="sm">
          “{flow.name}” stays inactive. Fix {details.length === 1 ? "this problem" : "these problems"} first:
        </Text>
        <List size="sm" spacing="xs">
          {details.map((detail) => (
            <List.Item key={`${detail.path} ${detail.message}`}>
              {detail.node_id ? (
                <>
                  <Anchor
                    component={Link}
                    href={`/flows/${flow.id}?node=${encodeURIComponent(detail.node_id)}`}
                    inherit
                    underline="always"
                  >
                    {names?.get(detail.node_id) ?? detail.node_id}
                  </Anchor>
                  : {fieldOf(detail.path)} {detail.message}
                </>
              ) : (
                `${detail.path}: ${detail.message}`
              )}
            </List.Item>
          ))}
        </List>
        {details.length === 0 && <Text size="sm">{messageOf(problem)}</Text>}
        <Group justify="flex-end">
          <Button component={Link} href={`/flows/${flow.id}`} data-autofocus>
            Open in editor
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
