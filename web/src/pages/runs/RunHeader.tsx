import { Anchor, Box, Group, Progress, Text, Title } from "@mantine/core";
import { useDocumentTitle } from "@mantine/hooks";
import { IconArrowLeft } from "@tabler/icons-react";
import { Fragment, type ReactNode } from "react";
import { Link } from "wouter";
import { api, type Schemas } from "@/api/client";
import { CALM } from "@/api/queries";
import { agentOf } from "@/runs/links";
import { hasEnded, isMoving } from "@/runs/moving";
import { useDefinition } from "@/runs/useDefinition";
import type { Run } from "@/runs/useRun";
import { shortId, TRIGGERS } from "@/runs/words";
import { Elapsed } from "@/ui/Elapsed";
import { milliseconds } from "@/ui/format";
import { labelOf, outcomeOf, StatusBadge } from "@/ui/StatusBadge";
import { Time } from "@/ui/Time";
import { RunActions } from "./RunActions";

/** The header of a run: flow, outcome, facts and actions. */
export function RunHeader({ run, node }: { run: Run; node: string | null }) {
  const outcome = outcomeOf(run);
  const { data: definition } = useDefinition(run.id);
  useDocumentTitle(`${labelOf(outcome)}: ${run.workflow_name} · Headrace`);
  return (
    <Box component="header">
      <Group justify="space-between" align="flex-start" gap="sm">
        <Box miw={0}>
          <Anchor
            component={Link}
            href="/runs"
            size="sm"
            display="inline-flex"
            style={{ alignItems: "center", gap: 4 }}
          >
            <IconArrowLeft size={14} aria-hidden />
            Runs
          </Anchor>
          <Group gap="sm" wrap="nowrap">
            <Title order={1} lineClamp={2}>
              {run.workflow_name}
            </Title>
            <Box aria-live="polite" display="flex">
              <StatusBadge outcome={outcome} />
            </Box>
          </Group>
        </Box>
        <RunActions run={run} node={node} />
      </Group>
      {definition?.settings?.description && (
        <Text size="sm" lineClamp={2} maw={760} title={definition.settings.description}>
          {definition.settings.description}
        </Text>
      )}
      <Facts run={run} />
      <RunProgress run={run} />
    </Box>
  );
}

function Facts({ run }: { run: Run }) {
  const children = useChildren(run);
  const facts: [string, ReactNode][] = [
    ["started", <Time key="t" at={run.started_at ?? run.created_at} />],
    [
      "took",
      <Elapsed
        key="e"
        startedAt={run.started_at}
        ms={milliseconds(run.duration_us)}
        running={isMoving(run)}
      />,
    ],
    ["trigger", TRIGGERS[run.triggered_by].toLowerCase()],
  ];
  if (agentOf(run) === undefined) facts.push(["version", <VersionOf key="v" run={run} />]);
  if (run.until) facts.push(["until", <>up to “{run.until}”</>]);
  if (run.only) facts.push(["only", <>only “{run.only}”</>]);
  if (run.pinned?.length) facts.push(["pinned", `${run.pinned.length} pinned`]);
  if (run.retry_of)
    facts.push(["retry", <RunLink key="r" before={run.only ? "data of" : "repeats"} id={run.retry_of} />]);
  if (run.parent_run_id)
    facts.push(["parent", <RunLink key="p" before="started by" id={run.parent_run_id} />]);
  if (children.length > 0) facts.push(["children", <Children key="c" runs={children} />]);
  return (
    <Text size="sm" c="var(--quiet)" component="div" mt={4}>
      {facts.map(([name, shown], at) => (
        <Fragment key={name}>
          {at > 0 && " · "}
          {shown}
        </Fragment>
      ))}
    </Text>
  );
}

const NO_CHILDREN: Schemas["RunBriefOut"][] = [];

/** Return the runs that this run started. */
function useChildren(run: Run) {
  const { data } = api.useQuery(
    "get",
    "/api/runs/{run}/children",
    { params: { path: { run: run.id } } },
    { refetchInterval: hasEnded(run) ? false : CALM, staleTime: CALM },
  );
  return data?.items ?? NO_CHILDREN;
}

const MOST_NAMED = 5;

function Children({ runs }: { runs: Schemas["RunBriefOut"][] }) {
  return (
    <>
      started{" "}
      {runs.slice(0, MOST_NAMED).map((run, at) => (
        <Fragment key={run.id}>
          {at > 0 && ", "}
          <RunLink before="" id={run.id} />
        </Fragment>
      ))}
      {runs.length > MOST_NAMED && ` and ${runs.length - MOST_NAMED} more`}
    </>
  );
}

function VersionOf({ run }: { run: Run }) {
  if (run.draft) return <>unsaved changes</>;
  if (run.workflow_version === null || run.workflow_version === undefined) return <>no version</>;
  return (
    <Anchor
      component={Link}
      href={`/flows/${run.workflow_id}/versions?version=${run.workflow_version}`}
      inherit
      underline="always"
    >
      version {run.workflow_version}
    </Anchor>
  );
}

function RunLink({ before, id }: { before: string; id: string }) {
  return (
    <>
      {before}{" "}
      <Anchor component={Link} href={`/runs/${id}`} inherit underline="always" title={id}>
        run …{shortId(id)}
      </Anchor>
    </>
  );
}

/** The number of finished nodes, while the run is active. */
export function RunProgress({ run }: { run: Run }) {
  const progress = run.progress as { done: number; total: number } | null | undefined;
  if (hasEnded(run) || !progress || progress.total === 0) return null;
  const share = (100 * progress.done) / progress.total;
  return (
    <Group gap="sm" mt={6} wrap="nowrap">
      <Progress.Root size="sm" flex={1}>
        <Progress.Section value={share} animated={isMoving(run)} aria-label="Progress of the run" />
      </Progress.Root>
      <Text size="xs" c="var(--quiet)">
        {progress.done} of {progress.total} nodes
      </Text>
    </Group>
  );
}
