import { useMemo } from "react";
import { findStep, type NodeState, nodeToShow, type Step } from "@/runs/states";
import type { Run } from "@/runs/useRun";
import { useQueryState } from "@/ui/useQueryState";

const DEFAULTS = { step: "", node: "", tab: "steps" };

export interface Chosen {
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
export function useChosen(run: Run | undefined, states: ReadonlyMap<string, NodeState>): Chosen {
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
