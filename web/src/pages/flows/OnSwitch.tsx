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
  if (!mayEdit) return "Switching flows on and off needs the role editor";
  if (status === "archived") return "Restore the flow first";
  return undefined;
}

/** Switches a flow on and off. Where the server refuses, it says what to mend and leads there. */
export function OnSwitch({ flow }: { flow: Pick<Flow, "id" | "name" | "status"> }) {
  const { may } = useSession();
  const { setStatus } = useFlowActions();
  const [wanted, setWanted] = useState<boolean | null>(null);
  const [problem, setProblem] = useState<ApiError | null>(null);
  const [definition, setDefinition] = useState<Definition | null>(null);
  const reason = reasonOff(flow.status, may("editor"));

  async function turn(on: boolean) {
    setWanted(on);
    try {
      await setStatus(flow.id, on ? "active" : "draft");
      notify.done(on ? `“${flow.name}” is on` : `“${flow.name}” is off`);
    } catch (error) {
      if (error instanceof ApiError && error.details.length > 0) {
        setDefinition(
          await definitionOf(flow.id).then(
            (found) => found.definition,
            () => null,
          ),
        );
        setProblem(error);
      } else notify.refused(`“${flow.name}” could not be switched ${on ? "on" : "off"}`, error);
    } finally {
      setWanted(null);
    }
  }

  return (
    <>
      <Tooltip label={reason} disabled={reason === undefined} multiline maw={240}>
        <Switch
          aria-label={`${flow.name} is on`}
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
  /** To call nodes by their names; null where it could not be loaded. */
  definition: Definition | null;
  problem: ApiError | null;
  onClose: () => void;
}

/** "nodes[2].config.url" -> "url", for people who see the node's name beside it. */
function fieldOf(path: string): string {
  return path.replace(/^nodes\[\d+\]\.?/, "").replace(/^config\./, "");
}

function Problems({ flow, definition, problem, onClose }: ProblemsProps) {
  const { catalogue } = useCatalogue();
  const names = definition === null ? null : namesIn(definition, catalogue);
  const details = problem?.details ?? [];
  return (
    <Modal opened={problem !== null} onClose={onClose} title="Not ready to be switched on" centered size="lg">
      <Stack>
        <Text size="sm">
          “{flow.name}” stays off until {details.length === 1 ? "this is" : "these are"} mended:
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
            Open in the editor
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
