import {
  ActionIcon,
  Anchor,
  Badge,
  Button,
  Checkbox,
  Group,
  List,
  Modal,
  Stack,
  Switch,
  Text,
  Tooltip,
  UnstyledButton,
} from "@mantine/core";
import { IconClock, IconFolder, IconPlayerPlay, IconStar, IconStarFilled } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useLocation } from "wouter";
import { type Catalogue, useCatalogue } from "@/api/catalogue";
import { ApiError } from "@/api/client";
import { useSession } from "@/app/session";
import type { Definition, Json } from "@/definition/types";
import { namesIn } from "@/graph/nameOf";
import type { Asked } from "@/runs/input/asked";
import { InputDialog } from "@/runs/input/InputDialog";
import { lastCalled, lastInput } from "@/runs/input/lastInput";
import { useRunActions } from "@/runs/useRunActions";
import type { Selection } from "@/ui/listState";
import { NodeIcon } from "@/ui/NodeIcon";
import { notify } from "@/ui/notify";
import { Quiet } from "@/ui/Quiet";
import { type Outcome, outcomeOf, StatusBadge } from "@/ui/StatusBadge";
import { messageOf } from "@/ui/states";
import { Time } from "@/ui/Time";
import { FlowMenu } from "./FlowMenu";
import { addressOf } from "./filters";
import { definitionOf, type Flow, useFlowActions } from "./flows";
import classes from "./flows.module.css";

function reasonOff(status: Flow["status"], mayEdit: boolean): string | undefined {
  if (!mayEdit) return "Requires the editor role";
  if (status === "archived") return "Restore the flow first";
  return undefined;
}

/** Activate or deactivate a flow. If the server refuses, list the problems with links to the nodes. */
function OnSwitch({ flow }: { flow: Pick<Flow, "id" | "name" | "status" | "has_draft"> }) {
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
    <Modal opened={problem !== null} onClose={onClose} title="The flow cannot be activated" centered size="lg">
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

/** Run the saved flow from the list, also for operators who do not edit it. */
function RunFlow({ flow }: { flow: Flow }) {
  const { may } = useSession();
  const actions = useRunActions();
  const [, go] = useLocation();
  const [busy, setBusy] = useState(false);
  const [asked, setAsked] = useState<Asked | null>(null);
  const [initial, setInitial] = useState<Json>();
  const client = useQueryClient();
  if (!may("operator") || flow.status === "archived") return null;

  async function ask() {
    setBusy(true);
    try {
      const [asking, called] = await Promise.all([
        actions.asked(flow.id),
        lastInput(flow.id) === null ? lastCalled(client, flow.id).catch(() => undefined) : undefined,
      ]);
      setInitial(called);
      setAsked(asking);
    } catch (error) {
      notify.refused(`“${flow.name}” could not be run`, error);
    } finally {
      setBusy(false);
    }
  }
  return (
    <>
      <Tooltip label="Run">
        <ActionIcon
          variant="subtle"
          color="gray"
          c="var(--quiet)"
          aria-label={`Run ${flow.name}`}
          loading={busy}
          onClick={() => void ask()}
        >
          <IconPlayerPlay size={18} aria-hidden />
        </ActionIcon>
      </Tooltip>
      {asked !== null && (
        <InputDialog
          flowId={flow.id}
          asked={asked}
          initial={initial}
          title={`Run “${flow.name}”`}
          hint="Optional input of the run."
          onClose={() => setAsked(null)}
          onRun={async (input) => go(`/runs/${(await actions.start(flow.id, input)).id}`)}
        />
      )}
    </>
  );
}

const SHOWN_TRIGGERS = 3;

function Triggers({ flow, catalogue }: { flow: Flow; catalogue: Catalogue | undefined }) {
  const types = [...new Set(flow.triggers.map((trigger) => trigger.type))];
  return (
    <>
      {types.slice(0, SHOWN_TRIGGERS).map((id) => {
        const type = catalogue?.find(id);
        return (
          <Group key={id} gap={4} wrap="nowrap">
            <NodeIcon type={type} size={18} />
            <Quiet size="xs">{type?.name ?? id}</Quiet>
          </Group>
        );
      })}
      <Quiet size="xs">
        {types.length > SHOWN_TRIGGERS && `+${types.length - SHOWN_TRIGGERS} · `}
        {flow.node_count === 1 ? "1 node" : `${flow.node_count} nodes`}
      </Quiet>
    </>
  );
}

/** A pending run that has already started is waiting. */
function outcomeOfLast(run: NonNullable<Flow["last_run"]>): Outcome {
  return outcomeOf({ ...run, waiting: run.started_at });
}

/** The result of the last run, its time, and its error. */
function LastResult({ run }: { run: Flow["last_run"] }) {
  if (run === null) return <StatusBadge outcome="none" />;
  const at = run.finished_at ?? run.started_at;
  return (
    <>
      <Group gap="xs" wrap="nowrap" align="last baseline">
        <Anchor component={Link} href={`/runs/${run.id}`} underline="hover" display="flex">
          <StatusBadge outcome={outcomeOfLast(run)} />
        </Anchor>
        {at !== null && (
          <Quiet size="xs" truncate>
            <Time at={at} />
          </Quiet>
        )}
      </Group>
      {run.error_text !== null && run.status === "failed" && (
        <Tooltip label={run.error_text} multiline maw={420}>
          <Text size="xs" className={classes.error} truncate>
            {run.error_text}
          </Text>
        </Tooltip>
      )}
    </>
  );
}

interface FlowRowProps {
  flow: Flow;
  catalogue: Catalogue | undefined;
  /** Undefined if this user cannot change flows. */
  selection: Selection | undefined;
  /** The open folder: a flow in another one shows it. */
  folder: string;
  /** The tags of the filter. */
  tags: string[];
  onTag: (tag: string) => void;
}

export function FlowRow({ flow, catalogue, selection, folder, tags, onTag }: FlowRowProps) {
  const isArchived = flow.status === "archived";
  return (
    <li className={classes.row} data-selected={selection?.has(flow.id) || undefined}>
      {selection !== undefined && (
        <div className={classes.select}>
          <Checkbox
            aria-label={`Select ${flow.name}`}
            checked={selection.has(flow.id)}
            onChange={() => selection.toggle(flow.id)}
          />
        </div>
      )}
      <div className={classes.star}>
        <Favourite flow={flow} />
      </div>
      <div className={classes.name}>
        <Group gap="xs" wrap="nowrap">
          <Anchor component={Link} href={`/flows/${flow.id}`} fw={600} c="var(--mantine-color-text)" truncate>
            {flow.name}
          </Anchor>
          {isArchived && (
            <Badge size="sm" variant="light" color="gray" c="var(--quiet)" tt="none">
              Archived
            </Badge>
          )}
          {flow.has_draft && (
            <Badge size="sm" variant="light" color="gray" c="var(--quiet)" tt="none" style={{ flexShrink: 0 }}>
              Unpublished changes
            </Badge>
          )}
        </Group>
        {flow.description !== "" && (
          <Quiet size="xs" lineClamp={1} title={flow.description}>
            {flow.description}
          </Quiet>
        )}
        <Group gap="4px 10px" mt={2}>
          <Triggers flow={flow} catalogue={catalogue} />
          {flow.folder !== null && flow.folder !== folder && (
            <Anchor component={Link} href={addressOf(flow.folder)} size="xs" className={classes.inFolder}>
              <IconFolder size={14} aria-hidden />
              {flow.folder}
            </Anchor>
          )}
          <Tags tags={flow.tags} chosen={tags} onToggle={onTag} />
        </Group>
      </div>
      <div className={classes.result}>
        <LastResult run={flow.last_run} />
      </div>
      <div className={classes.next}>
        {flow.next_at !== null && (
          <Group gap={4} wrap="nowrap" c="var(--quiet)" title="Next run">
            <IconClock size={14} role="img" aria-label="Next run" />
            <Text size="xs" component="span">
              <Time at={flow.next_at} />
            </Text>
          </Group>
        )}
      </div>
      <div className={classes.switch}>
        <OnSwitch flow={flow} />
      </div>
      <div className={classes.menu}>
        <RunFlow flow={flow} />
        <FlowMenu flow={flow} label={`Actions for ${flow.name}`} />
      </div>
    </li>
  );
}

/** The star of a flow: a mark that only this user sees. */
function Favourite({ flow }: { flow: Pick<Flow, "id" | "name" | "favourite"> }) {
  const { mark } = useFlowActions();
  const [wanted, setWanted] = useState<boolean | null>(null);
  const isMarked = wanted ?? flow.favourite;

  async function turn() {
    setWanted(!isMarked);
    await mark(flow.id, !isMarked).catch((error: unknown) =>
      notify.refused(`“${flow.name}” could not be marked`, error),
    );
    setWanted(null);
  }
  const Icon = isMarked ? IconStarFilled : IconStar;
  return (
    <Tooltip label={isMarked ? "Remove from favourites" : "Add to favourites"}>
      <ActionIcon
        variant="subtle"
        color="gray"
        c={isMarked ? "var(--waiting)" : "var(--quiet)"}
        aria-label={`Favourite: ${flow.name}`}
        aria-pressed={isMarked}
        onClick={() => void turn()}
      >
        <Icon size={18} aria-hidden />
      </ActionIcon>
    </Tooltip>
  );
}

interface TagsProps {
  tags: string[];
  /** The tags of the filter. */
  chosen: string[];
  onToggle: (tag: string) => void;
}

/** The tags of a flow. A click on one adds it to the filter of the list, or removes it. */
function Tags({ tags, chosen, onToggle }: TagsProps) {
  return tags.map((tag) => (
    <UnstyledButton
      key={tag}
      className={classes.tag}
      aria-pressed={chosen.includes(tag)}
      title={chosen.includes(tag) ? "Remove from the filter" : "Show flows with this tag"}
      onClick={() => onToggle(tag)}
    >
      {tag}
    </UnstyledButton>
  ));
}
