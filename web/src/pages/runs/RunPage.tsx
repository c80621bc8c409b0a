import { Box, Button, Tabs, Text } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { IconPlayerPlay, IconRoute } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo } from "react";
import { Link, useLocation } from "wouter";
import { ApiError } from "@/api/client";
import { useCommands } from "@/app/commands/commands";
import { asRecentRun } from "@/app/commands/items";
import { useVisited } from "@/app/commands/useVisited";
import { LogLines } from "@/runs/LogLines";
import { agentOf, inEditor } from "@/runs/links";
import { failedNode, type NodeState } from "@/runs/states";
import { definitionOf } from "@/runs/useDefinition";
import { type Run, SHOWN_ENTRIES, useRun, useRunLogs, useRunSteps } from "@/runs/useRun";
import { ValueView } from "@/runs/ValueView";
import { count } from "@/ui/format";
import { Empty, Loading, Refused } from "@/ui/states";
import { FlowGraph } from "./RunGraph";
import { RunHeader } from "./RunHeader";
import { RunNotices } from "./RunNotices";
import { RunSteps } from "./RunSteps";
import classes from "./runs.module.css";
import { useChosen } from "./useChosen";

/** Fetch the data of the graph together with the run, not after it. */
function useGraphAhead(id: string): void {
  const client = useQueryClient();
  useEffect(() => {
    FlowGraph.preload();
    void client.prefetchQuery(definitionOf(id));
  }, [client, id]);
}

export default function RunPage({ id }: { id: string }) {
  useGraphAhead(id);
  const { data: run, error, refetch } = useRun(id);
  const steps = useRunSteps(run);
  const chosen = useChosen(run, steps.states);
  const narrow = useMediaQuery("(max-width: 62em)", undefined, { getInitialValueInEffect: false }) ?? false;
  const problem: unknown = error;
  useVisited(run === undefined ? null : asRecentRun(run));
  useRunCommands(run, chosen.nodeId);

  if (run === undefined && problem instanceof ApiError && problem.status === 404) {
    const all = (
      <Button component={Link} href="/runs" variant="default">
        All runs
      </Button>
    );
    return (
      <Empty
        title="Run not found"
        hint="It was deleted, by a user or by the retention policy."
        action={all}
      />
    );
  }
  if (run === undefined && problem !== null)
    return <Refused error={problem} onRetry={() => void refetch()} />;
  if (run === undefined) return <Loading label="Loading the run" fill />;
  return (
    <Box className={classes.page}>
      <RunHeader run={run} node={chosen.nodeId} />
      <RunNotices run={run} failed={failedNode(run, steps.states)} />
      <Tabs
        value={chosen.tab}
        onChange={(tab) => tab !== null && chosen.setTab(tab)}
        className={classes.tabs}
        keepMounted={false}
      >
        <Tabs.List>
          <Tabs.Tab value="steps">Steps</Tabs.Tab>
          <Tabs.Tab value="input">Input</Tabs.Tab>
          <Tabs.Tab value="output">Output</Tabs.Tab>
          <Tabs.Tab value="log">Log</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="steps" className={classes.tabPanel}>
          <RunSteps run={run} steps={steps} chosen={chosen} narrow={narrow} />
          {steps.more && (
            <Text size="sm" c="var(--quiet)" mt="xs">
              This page shows only a part of the steps. The API lists all of them.
            </Text>
          )}
        </Tabs.Panel>
        <Tabs.Panel value="input" className={classes.tabPanel}>
          <Framed>
            <ValueView title="Input of the run" value={run.input} nothing="No input" level={2} />
          </Framed>
        </Tabs.Panel>
        <Tabs.Panel value="output" className={classes.tabPanel}>
          <Framed>
            <ValueView title="Output of the run" value={run.output} nothing="No output" level={2} />
          </Framed>
        </Tabs.Panel>
        <Tabs.Panel value="log" className={classes.tabPanel}>
          <RunLog run={run} states={steps.states} />
        </Tabs.Panel>
      </Tabs>
    </Box>
  );
}

function Framed({ children }: { children: React.ReactNode }) {
  return <Box className={classes.body}>{children}</Box>;
}

function RunLog({ run, states }: { run: Run; states: ReadonlyMap<string, NodeState> }) {
  const { data, error, refetch } = useRunLogs(run);
  const names = useMemo(
    () => new Map([...states.values()].map((state) => [state.nodeId, state.name])),
    [states],
  );
  const problem: unknown = error;
  if (problem !== null && data === undefined)
    return <Refused error={problem} onRetry={() => void refetch()} />;
  if (data === undefined) return <Loading label="Loading the log" />;
  return (
    <Framed>
      <Box p="md" className={classes.scrolls}>
        <LogLines entries={data.items} names={names} />
        {data.next_cursor != null && (
          <Text size="sm" c="var(--quiet)" mt="sm">
            These are the first {count(SHOWN_ENTRIES)} entries. The API returns all of them.
          </Text>
        )}
      </Box>
    </Framed>
  );
}

/** The commands of the page of a run in the command palette. */
function useRunCommands(run: Run | undefined, nodeId: string | null): void {
  const [, go] = useLocation();
  useCommands(() => {
    if (run === undefined || agentOf(run) !== undefined) return [];
    return [
      {
        id: "page-run editor",
        label: "Open this run in the editor",
        group: "This page",
        icon: <IconRoute size={18} stroke={1.7} aria-hidden />,
        run: () => go(inEditor(run, nodeId)),
      },
      {
        id: "page-run others",
        label: "All runs of this flow",
        group: "This page",
        icon: <IconPlayerPlay size={18} stroke={1.7} aria-hidden />,
        run: () => go(`/runs?flow=${run.workflow_id}`),
      },
    ];
  });
}
