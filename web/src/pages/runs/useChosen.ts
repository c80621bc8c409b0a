import { useMemo } from "react";
import { findStep, type NodeState, nodeToShow, type Step } from "@/runs/states";
import type { Run } from "@/runs/useRun";
import { useQueryState } from "@/ui/useQueryState";

const DEFAULTS = { step: "", node: "", tab: "steps" };

export interface Chosen {
  nodeId: string | null;
  /** Undefined for a node that the run did not come to. */
  state: NodeState | undefined;
  step: Step | undefined;
  /** A node with the last of its steps, or with this one. */
  choose: (nodeId: string, step: number | null) => void;
  tab: string;
  setTab: (tab: string) => void;
}

/** Which step is shown: the one in the address, else the one that matters most. */
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
