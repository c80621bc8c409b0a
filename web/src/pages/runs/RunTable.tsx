import { Anchor, Box, Checkbox, Group, Mark, Stack, Table, Text, VisuallyHidden } from "@mantine/core";
import { IconPencil, IconPlayerPlay, IconPlayerSkipForward, IconPlayerStop, IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import { Link, useLocation, useSearch } from "wouter";
import { useSession } from "@/app/session";
import { type RetryChoice, useRunActions } from "@/runs/useRunActions";
import { hasEnded, isMoving } from "@/runs/values";
import { aboutRun, agentOf, definitionAt, shortId, triggerOf } from "@/runs/words";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { milliseconds } from "@/ui/format";
import type { Selection } from "@/ui/listState";
import { DotsMenu, MenuItem } from "@/ui/MenuItem";
import { notify } from "@/ui/notify";
import { Quiet } from "@/ui/Quiet";
import { outcomeOf, StatusBadge } from "@/ui/StatusBadge";
import { Elapsed, Time } from "@/ui/Time";
import { addressOf, nameOfPlace } from "./filters";
import classes from "./runs.module.css";
import type { ListedRun } from "./useRuns";

/** The menu of actions on a run in a list. */
function RunMenu({ run }: { run: ListedRun }) {
  const { may } = useSession();
  const actions = useRunActions();
  const [, go] = useLocation();
  const [asking, setAsking] = useState<"cancel" | "delete" | null>(null);
  const ended = hasEnded(run);
  const isAgent = agentOf(run) !== undefined;

  async function retry(choice: RetryChoice) {
    try {
      const made = await actions.retry(run, choice);
      go(`/runs/${made.id}`);
    } catch (error) {
      notify.refused("The run could not be retried", error);
    }
  }

  return (
    <>
      <DotsMenu button={{ label: `Actions for the run of ${run.workflow_name}`, size: "lg" }} shadow="md">
        {!ended && (
          <MenuItem icon={IconPlayerStop} disabled={!may("operator")} onClick={() => setAsking("cancel")}>
            Cancel
          </MenuItem>
        )}
        {run.status === "failed" && !isAgent && (
          <MenuItem
            icon={IconPlayerSkipForward}
            disabled={!may("operator")}
            onClick={() => void retry({ from: "failed", version: "latest" })}
          >
            Retry from the failed node
          </MenuItem>
        )}
        {ended && !isAgent && (
          <MenuItem
            icon={IconPlayerPlay}
            disabled={!may("operator")}
            onClick={() => void retry({ from: "start", version: "latest" })}
          >
            Run again from the start
          </MenuItem>
        )}
        <MenuItem component={Link} href={definitionAt(run)} icon={IconPencil}>
          {isAgent ? "Open agent" : "Open flow"}
        </MenuItem>
        {ended && (
          <MenuItem icon={IconTrash} c="var(--failed)" disabled={!may("editor")} onClick={() => setAsking("delete")}>
            Delete
          </MenuItem>
        )}
      </DotsMenu>
      <ConfirmDialog
        opened={asking === "cancel"}
        onClose={() => setAsking(null)}
        title="Cancel this run?"
        action="Cancel run"
        danger
        onConfirm={() => actions.cancel(run)}
      >
        Changes already made are not undone. You can run it again later.
      </ConfirmDialog>
      <ConfirmDialog
        opened={asking === "delete"}
        onClose={() => setAsking(null)}
        title="Delete this run?"
        action="Delete"
        danger
        onConfirm={() => actions.remove(run)}
      >
        Its steps and its log are deleted too. This cannot be undone.
      </ConfirmDialog>
    </>
  );
}

/** The runs as a table, for wide windows. */
export function RunTable({ runs, selection }: { runs: ListedRun[]; selection: Selection }) {
  return (
    <Table highlightOnHover verticalSpacing={7} className={classes.table} aria-label="Runs">
      <Table.Thead>
        <Table.Tr>
          <Table.Th w={40}>
            <Checkbox
              aria-label="Select all listed runs"
              checked={selection.all}
              indeterminate={selection.size > 0 && !selection.all}
              onChange={selection.toggleAll}
            />
          </Table.Th>
          <Table.Th w={130}>Status</Table.Th>
          <Table.Th>Flow</Table.Th>
          <Table.Th w={130}>Trigger</Table.Th>
          <Table.Th w={130}>Started</Table.Th>
          <Table.Th w={110}>Duration</Table.Th>
          <Table.Th w={52}>
            <VisuallyHidden>Actions</VisuallyHidden>
          </Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {runs.map((run) => (
          <RunRow key={run.id} run={run} selection={selection} />
        ))}
      </Table.Tbody>
    </Table>
  );
}

function RunRow({ run, selection }: { run: ListedRun; selection: Selection }) {
  const [, go] = useLocation();
  const about = aboutRun(run);
  return (
    <Table.Tr
      className={classes.row}
      data-selected={selection.has(run.id) || undefined}
      onClick={(event) => {
        // The row is a shortcut for the mouse; keyboard users have the link in it.
        if (!(event.target as Element).closest("a, button, input, label, [role=menu]")) go(`/runs/${run.id}`);
      }}
    >
      <Table.Td>
        <Checkbox
          aria-label={`Select run ${shortId(run.id)} of ${run.workflow_name}`}
          checked={selection.has(run.id)}
          onChange={() => selection.toggle(run.id)}
        />
      </Table.Td>
      <Table.Td>
        <Box display="flex">
          <StatusBadge outcome={outcomeOf(run)} />
        </Box>
      </Table.Td>
      <Table.Td maw={0}>
        <Anchor component={Link} href={`/runs/${run.id}`} className={classes.name} fw={550} size="sm">
          {run.workflow_name}
        </Anchor>
        {about !== null && (
          <Text
            size="xs"
            c={run.error_text && !run.cancelled ? "var(--failed)" : "var(--quiet)"}
            truncate
            title={about}
          >
            {about}
          </Text>
        )}
        <FoundIn run={run} />
      </Table.Td>
      <Table.Td>
        <Text size="sm">{triggerOf(run)}</Text>
      </Table.Td>
      <Table.Td>
        <Text size="sm" component="div">
          <Time at={run.started_at ?? run.created_at} />
        </Text>
      </Table.Td>
      <Table.Td>
        <Text size="sm" component="div">
          <Elapsed startedAt={run.started_at} ms={milliseconds(run.duration_us)} running={isMoving(run)} />
        </Text>
      </Table.Td>
      <Table.Td>
        <RunMenu run={run} />
      </Table.Td>
    </Table.Tr>
  );
}

/** The runs as cards, for phones. */
export function RunCards({ runs }: { runs: ListedRun[] }) {
  return (
    <Stack gap={0} component="ul" className={classes.cards} aria-label="Runs">
      {runs.map((run) => (
        <RunCard key={run.id} run={run} />
      ))}
    </Stack>
  );
}

function RunCard({ run }: { run: ListedRun }) {
  const about = aboutRun(run);
  return (
    <Box component="li" className={classes.card}>
      <Group justify="space-between" wrap="nowrap" gap="xs">
        <StatusBadge outcome={outcomeOf(run)} />
        <Group gap={4} wrap="nowrap">
          <Quiet size="xs" component="div">
            <Time at={run.started_at ?? run.created_at} />
          </Quiet>
          <RunMenu run={run} />
        </Group>
      </Group>
      <Anchor component={Link} href={`/runs/${run.id}`} className={classes.cover} fw={600} lineClamp={3}>
        {run.workflow_name}
      </Anchor>
      {about !== null && (
        <Text size="sm" c={run.error_text && !run.cancelled ? "var(--failed)" : "var(--quiet)"} lineClamp={2}>
          {about}
        </Text>
      )}
      <FoundIn run={run} />
      <Quiet size="xs" component="div">
        {triggerOf(run)} ·{" "}
        <Elapsed startedAt={run.started_at} ms={milliseconds(run.duration_us)} running={isMoving(run)} />
      </Quiet>
    </Box>
  );
}

/** The first place of a run that contains the text of a search in run data, as a link. */
function FoundIn({ run }: { run: ListedRun }) {
  const text = new URLSearchParams(useSearch()).get("data") ?? "";
  const [first, ...others] = run.found_in ?? [];
  if (first === undefined) return null;
  return (
    <Quiet size="xs" lineClamp={2} component="div" className={classes.found}>
      <Anchor component={Link} href={addressOf(run.id, first)} inherit underline="always">
        {nameOfPlace(first)}
      </Anchor>
      : <Marked text={first.text} search={text} />
      {others.length > 0 && ` (also: ${others.map(nameOfPlace).join(", ")})`}
    </Quiet>
  );
}

/** A text with the first place of a search in it marked. */
function Marked({ text, search }: { text: string; search: string }) {
  const at = search === "" ? -1 : text.toLowerCase().indexOf(search.toLowerCase());
  if (at < 0) return <>{text}</>;
  const end = at + search.length;
  return (
    <>
      {text.slice(0, at)}
      <Mark color="yellow">{text.slice(at, end)}</Mark>
      {text.slice(end)}
    </>
  );
}
