/** The data of the selected node in the run that is shown: its step, and the choice of an attempt or an item. */
import { useMemo, useState } from "react";
import { useLastRun } from "@/api/lastRun";
import type { NodeState, Step } from "@/runs/states";
import { type Run, useDefinition, useRun, useRunSteps } from "@/runs/useRun";
import { nodeOf, runsAlike, runsAlikeNode } from "../changes";
import { useEditor } from "../context";
import { type EditorRun, useEditorRun } from "./useEditorRun";

// The run whose data is shown beside the canvas, and what changed in the flow since then.

export interface ShownRun {
  run: Run | undefined;
  states: ReadonlyMap<string, NodeState>;
  /** True if it is the flow's latest run, not the run on the canvas. */
  isLatest: boolean;
  /** True once the run, if any, is known. */
  ready: boolean;
}

/** Return the run on the canvas, else the flow's latest run. */
function useShownRun(editorRun: EditorRun): ShownRun {
  const flowId = useEditor((state) => state.flow.id);
  const onCanvas = editorRun.run;
  const { run: latest, isLoading } = useLastRun(flowId, onCanvas?.id);
  const isLatest = onCanvas === undefined && latest !== undefined;
  const whole = useRun(isLatest ? latest.id : null);
  const { states, ready } = useRunSteps(whole.data);
  if (!isLatest) return { run: onCanvas, states: editorRun.states, isLatest, ready: !isLoading };
  return { run: whole.data, states, isLatest, ready: whole.error !== null || ready };
}

/** Return what changed in the flow since the run; null for nothing, or if unknown. */
export function useChangedSince(runId: string, nodeId: string): "node" | "flow" | null {
  const definition = useEditor((state) => state.definition);
  const { data: ran } = useDefinition(runId);
  return useMemo(() => {
    if (ran === undefined || runsAlike(ran, definition)) return null;
    const before = nodeOf(ran, nodeId);
    // A node that is new did not change since.
    return before === undefined || runsAlikeNode(before, nodeOf(definition, nodeId)) ? "flow" : "node";
  }, [ran, definition, nodeId]);
}

export interface NodeData extends Pick<ShownRun, "run" | "states"> {
  editorRun: EditorRun;
  shown: ShownRun;
  state: NodeState | undefined;
  step: Step | undefined;
  setStep: (number: number) => void;
}

export function useNodeData(nodeId: string): NodeData {
  const editorRun = useEditorRun();
  const shown = useShownRun(editorRun);
  const { run, states } = shown;
  const state = states.get(nodeId);
  const [chosen, setStep] = useState<number | null>(null);
  const step =
    state?.steps.find((one) => one.number === chosen) ?? state?.steps.find((one) => one.number === state.step);
  return { editorRun, shown, run, states, state, step, setStep };
}
