import { Box, Text } from "@mantine/core";
import { Suspense, useCallback, useMemo } from "react";
import type { FlowEdge } from "@/definition/types";
import { edgeLabel, itemsOver } from "@/runs/edgeLabel";
import { agentOf } from "@/runs/links";
import { liveEdges, marksOf, type NodeState, withItems } from "@/runs/states";
import { useCounts } from "@/runs/useCounts";
import { useDefinition } from "@/runs/useDefinition";
import type { Run } from "@/runs/useRun";
import { lazily } from "@/ui/lazily";
import { Loading } from "@/ui/states";

export const FlowGraph = lazily(() => import("@/graph/FlowGraph"));

interface RunGraphProps {
  run: Run;
  states: ReadonlyMap<string, NodeState>;
  selected: string | null;
  onSelect: (nodeId: string) => void;
}

/** The flow as it was at the start of the run, with the outcome of each node. */
export function RunGraph({ run, states, selected, onSelect }: RunGraphProps) {
  const { data: definition, error } = useDefinition(run.id);
  const isLive = useMemo(() => definition && liveEdges(definition, states), [definition, states]);
  const counts = useCounts(run);
  const marks = useMemo(() => {
    const made = marksOf(states, run.pinned);
    return definition === undefined ? made : withItems(made, definition, counts);
  }, [states, run.pinned, definition, counts]);
  const labelOf = useCallback(
    (edge: FlowEdge) => edgeLabel(edge, isLive?.(edge) ? itemsOver(edge, counts) : undefined),
    [isLive, counts],
  );
  if (error !== null) {
    return (
      <Box p="md">
        <Text size="sm" c="var(--quiet)">
          {agentOf(run) === undefined
            ? "The version of the flow that ran was deleted, so its graph cannot be shown."
            : "An agent ran outside a flow, so there is no graph."}
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
        labelOf={labelOf}
        selected={selected}
        onSelect={(id) => id !== null && onSelect(id)}
        label={`Graph of ${run.workflow_name}`}
      />
    </Suspense>
  );
}
