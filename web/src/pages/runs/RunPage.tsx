import { ActionIcon, Box, Button, Tabs, Tooltip } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { IconPencil, IconPlayerPlay, IconRoute } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { Suspense, useCallback, useEffect, useMemo, useState } from "react";
import { Link, useLocation } from "wouter";
import { ApiError } from "@/api/client";
import { useCommands, useVisited } from "@/app/commands/commands";
import { asRecentRun } from "@/app/commands/items";
import type { FlowEdge } from "@/definition/types";
import { LogLines, NoStep, StepPanel } from "@/runs/StepPanel";
import {
  failedNode,
  findStep,
  liveEdges,
  marksOf,
  type NodeState,
  nodeToShow,
  type Step,
  withItems,
} from "@/runs/states";
import { Timeline } from "@/runs/Timeline";
import {
  definitionOf,
  type Run,
  SHOWN_ENTRIES,
  type RunSteps as Steps,
  useCounts,
  useDefinition,
  useRun,
  useRunLogs,
  useRunSteps,
} from "@/runs/useRun";
import { ValueView } from "@/runs/ValueView";
import { hasEnded } from "@/runs/values";
import { agentOf, edgeLabel, inEditor, itemsOver } from "@/runs/words";
import { count } from "@/ui/format";
import { lazily } from "@/ui/lazily";
import { useQueryState } from "@/ui/listState";
import { Quiet } from "@/ui/Quiet";
import { SplitPane } from "@/ui/SplitPane";
import { Empty, Loading, LoadingRows, Refused } from "@/ui/states";
import { RunHeader, RunNotices } from "./RunHeader";
import classes from "./runs.module.css";

const DEFAULTS = { step: "", node: "", tab: "steps" };

interface Chosen {
  nodeId: string | null;
  /** Undefined if the run did not reach the node. */
  state: NodeState | undefined;
  step: Step | undefined;
  /** Select a node: its last step, or the given one. */
  choose: (nodeId: string, step: number | null) => void;
  tab: string;
  setTab: (tab: string) => void;
}

/** Return the selected step: the one in the address, else the most relevant one. */
function useChosen(run: Run | undefined, states: ReadonlyMap<string, NodeState>): Chosen {
  const { values, change } = useQueryState(DEFAULTS);
  const found = useMemo(() => {
    if (values.step !== "") return findStep(states, Number(values.step));
    const state = values.node !== "" ? states.get(values.node) : run && nodeToShow(run, states);
    return state && { state, step: state.steps.find((one) => one.number === state.step) };
  }, [values, states, run]);
  return {
    nodeId: found?.state.nodeId ?? (values.node || null),
    state: found?.state,
    step: found?.step,
    choose: (node, step) =>
      change(step === null ? { node, step: "" } : { node: "", step: String(step) }, { replace: true }),
    tab: values.tab,
    setTab: (tab) => change({ tab }, { replace: true }),
  };
}

const FlowGraph = lazily(() => import("@/graph/FlowGraph"));

interface RunGraphProps {
  run: Run;
  states: ReadonlyMap<string, NodeState>;
  selected: string | null;
  onSelect: (nodeId: string) => void;
}

/** The flow as it was at the start of the run, with the outcome of each node. */
function RunGraph({ run, states, selected, onSelect }: RunGraphProps) {
  const { data: definition, error } = useDefinition(run.id);
  const isLive = useMemo(() => definition && liveEdges(definition, states), [definition, states]);
  const counts = useCounts(run);
  const marks = useMemo(() => {
    const made = marksOf(states, counts, run.pinned);
    return definition === undefined ? made : withItems(made, definition, counts);
  }, [states, run.pinned, definition, counts]);
  const labelOf = useCallback(
    (edge: FlowEdge) => edgeLabel(edge, isLive?.(edge) ? itemsOver(edge, counts) : undefined),
    [isLive, counts],
  );
  if (error !== null) {
    return (
      <Box p="md">
        <Quiet>
          {agentOf(run) === undefined
            ? "The version of the flow that ran was deleted, so its graph cannot be shown."
            : "An agent ran outside a flow, so there is no graph."}
        </Quiet>
      </Box>
    );
  }
  if (definition === undefined) return <Loading label="Loading the graph" />;
  return (
    <Suspense fallback={<Loading label="Loading the graph" />}>
      <FlowGraph
        definition={definition}
        marks={marks}
        isLive={isLive}
        labelOf={labelOf}
        selected={selected}
        onSelect={(id) => id !== null && onSelect(id)}
        label={`Graph of ${run.workflow_name}`}
      />
    </Suspense>
  );
}

interface RunStepsProps {
  run: Run;
  steps: Steps;
  chosen: Chosen;
  /** True to stack everything vertically, for narrow windows. */
  narrow: boolean;
}

/** The current time for the timeline; the end of a finished run. */
function useClock(run: Run): number {
  const [now, setNow] = useState(Date.now);
  const ended = hasEnded(run);
  useEffect(() => {
    if (ended) return;
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, [ended]);
  return run.finished_at === null ? now : Date.parse(run.finished_at);
}

/** Graph, timeline, and the selected step. */
function RunSteps({ run, steps, chosen, narrow }: RunStepsProps) {
  const now = useClock(run);
  const { state, step } = chosen;
  if (steps.error !== null && !steps.ready) return <Refused error={steps.error} onRetry={steps.retry} />;
  if (!steps.ready) return <LoadingRows />;

  const graph = (
    <RunGraph run={run} states={steps.states} selected={chosen.nodeId} onSelect={(id) => chosen.choose(id, null)} />
  );
  const timeline =
    steps.steps.length === 0 ? (
      <Empty title={hasEnded(run) ? "No steps" : "No node has started yet"} />
    ) : (
      <Timeline
        states={steps.states}
        runEnded={hasEnded(run)}
        now={now}
        selected={state && step ? { nodeId: state.nodeId, step: step.number } : null}
        onSelect={(row) => chosen.choose(row.nodeId, row.level === 1 ? null : row.step)}
      />
    );
  const panel =
    state && step ? (
      <StepPanel
        run={run}
        state={state}
        step={step}
        stacked={narrow}
        errorIsKnown={step.error_text === run.error_text}
        onStep={(number) => chosen.choose(state.nodeId, number)}
        actions={agentOf(run) === undefined && <EditNode run={run} node={state.nodeId} />}
      />
    ) : (
      chosen.nodeId !== null && <NoStep name={chosen.nodeId} ended={hasEnded(run)} />
    );

  if (narrow) {
    return (
      <>
        <Box className={classes.narrowGraph}>{graph}</Box>
        <Box className={classes.narrowTimeline} h={34 + 32 * Math.max(steps.states.size, 3)}>
          {timeline}
        </Box>
        <Box className={classes.narrowPanel}>{panel}</Box>
      </>
    );
  }
  return (
    <Box className={classes.body}>
      <SplitPane
        direction="column"
        name="run"
        label="Height of the graph"
        initial={36}
        first={graph}
        second={
          <SplitPane
            direction="row"
            name="run-steps"
            label="Width of the timeline"
            initial={36}
            first={timeline}
            second={panel}
          />
        }
      />
    </Box>
  );
}

function EditNode({ run, node }: { run: Run; node: string }) {
  return (
    <Tooltip label="Open in editor">
      <ActionIcon
        variant="default"
        size="md"
        component={Link}
        href={inEditor(run, node)}
        aria-label="Open node in editor"
      >
        <IconPencil size={16} aria-hidden />
      </ActionIcon>
    </Tooltip>
  );
}

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
    return <Empty title="Run not found" hint="It was deleted, by a user or by the retention policy." action={all} />;
  }
  if (run === undefined && problem !== null) return <Refused error={problem} onRetry={() => void refetch()} />;
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
          {steps.more && <Quiet mt="xs">This page shows only a part of the steps. The API lists all of them.</Quiet>}
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
  const names = useMemo(() => new Map([...states.values()].map((state) => [state.nodeId, state.name])), [states]);
  const problem: unknown = error;
  if (problem !== null && data === undefined) return <Refused error={problem} onRetry={() => void refetch()} />;
  if (data === undefined) return <Loading label="Loading the log" />;
  return (
    <Framed>
      <Box p="md" className={classes.scrolls}>
        <LogLines entries={data.items} names={names} />
        {data.next_cursor != null && (
          <Quiet mt="sm">These are the first {count(SHOWN_ENTRIES)} entries. The API returns all of them.</Quiet>
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
