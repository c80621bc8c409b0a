import { Box, Text } from "@mantine/core";
import { Suspense, useMemo } from "react";
import { liveEdges, marksOf, type NodeState } from "@/runs/states";
import { useDefinition } from "@/runs/useDefinition";
import type { Run } from "@/runs/useRun";
import { lazily } from "@/ui/lazily";
import { Loading } from "@/ui/states";

const FlowGraph = lazily(() => import("@/graph/FlowGraph"));

interface RunGraphProps {
  run: Run;
  states: ReadonlyMap<string, NodeState>;
  selected: string | null;
  onSelect: (nodeId: string) => void;
}

/** The flow as it was at the start of the run, with the outcome of each node. */
export function RunGraph({ run, states, selected, onSelect }: RunGraphProps) {
  const { data: definition, error } = useDefinition(run.id);
  const marks = useMemo(() => marksOf(states, run.pinned), [states, run.pinned]);
  const isLive = useMemo(() => definition && liveEdges(definition, states), [definition, states]);
  if (error !== null) {
    return (
      <Box p="md">
        <Text size="sm" c="var(--quiet)">
          The version of the flow that ran was deleted, so its graph cannot be shown.
        </Text>
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
        selected={selected}
        onSelect={(id) => id !== null && onSelect(id)}
        label={`Graph of ${run.workflow_name}`}
      />
    </Suspense>
  );
}
