/** The data of the selected node in the run that is shown: its step, and the choice of an attempt or an item. */
import { useState } from "react";
import type { NodeState, Step } from "@/runs/states";
import { type EditorRun, useEditorRun } from "./useEditorRun";
import { type ShownRun, useShownRun } from "./useShownRun";

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
    state?.steps.find((one) => one.number === chosen) ??
    state?.steps.find((one) => one.number === state.step);
  return { editorRun, shown, run, states, state, step, setStep };
}
