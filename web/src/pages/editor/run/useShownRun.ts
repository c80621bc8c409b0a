/** The run whose values are shown beside the canvas, and whether the flow is still what ran then. */
import { useMemo } from "react";
import { useLastRun } from "@/api/lastRun";
import type { NodeState } from "@/runs/states";
import { useDefinition } from "@/runs/useDefinition";
import { type Run, useRun, useRunSteps } from "@/runs/useRun";
import { nodeOf, runsAlike, runsAlikeNode } from "../changes";
import { useEditor } from "../context";
import type { EditorRun } from "./useEditorRun";

export interface ShownRun {
  run: Run | undefined;
  states: ReadonlyMap<string, NodeState>;
  /** Whether it is not on the canvas: the flow's latest, from wherever it was started. */
  isLatest: boolean;
  /** Whether it is known what ran, if anything did. */
  ready: boolean;
}

/** The run on the canvas, else the flow's latest. */
export function useShownRun(editorRun: EditorRun): ShownRun {
  const flowId = useEditor((state) => state.flow.id);
  const onCanvas = editorRun.run;
  const { run: latest, isLoading } = useLastRun(flowId, onCanvas?.id);
  const isLatest = onCanvas === undefined && latest !== undefined;
  const whole = useRun(isLatest ? latest.id : null);
  const { states, ready } = useRunSteps(whole.data);
  if (!isLatest) return { run: onCanvas, states: editorRun.states, isLatest, ready: !isLoading };
  return { run: whole.data, states, isLatest, ready: whole.error !== null || ready };
}

/** What of the flow was changed since the run; null where nothing was, or nobody knows. */
export function useChangedSince(runId: string, nodeId: string): "node" | "flow" | null {
  const definition = useEditor((state) => state.definition);
  const { data: ran } = useDefinition(runId);
  return useMemo(() => {
    if (ran === undefined || runsAlike(ran, definition)) return null;
    return runsAlikeNode(nodeOf(ran, nodeId), nodeOf(definition, nodeId)) ? "flow" : "node";
  }, [ran, definition, nodeId]);
}
