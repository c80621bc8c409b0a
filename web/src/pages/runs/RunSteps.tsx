import { ActionIcon, Box, Tooltip } from "@mantine/core";
import { IconPencil } from "@tabler/icons-react";
import { useEffect, useState } from "react";
import { Link } from "wouter";
import { agentOf, inEditor } from "@/runs/links";
import { hasEnded } from "@/runs/moving";
import { NoStep, StepPanel } from "@/runs/StepPanel";
import { Timeline } from "@/runs/Timeline";
import type { Run, RunSteps as Steps } from "@/runs/useRun";
import { SplitPane } from "@/ui/SplitPane";
import { Empty, LoadingRows, Refused } from "@/ui/states";
import { RunGraph } from "./RunGraph";
import classes from "./runs.module.css";
import type { Chosen } from "./useChosen";

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
export function RunSteps({ run, steps, chosen, narrow }: RunStepsProps) {
  const now = useClock(run);
  const { state, step } = chosen;
  if (steps.error !== null && !steps.ready) return <Refused error={steps.error} onRetry={steps.retry} />;
  if (!steps.ready) return <LoadingRows />;

  const graph = (
    <RunGraph
      run={run}
      states={steps.states}
      selected={chosen.nodeId}
      onSelect={(id) => chosen.choose(id, null)}
    />
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
