/** The run that each editor shows, and the result of the last start. Survives a reload. */

import { create } from "zustand";
import type { Schemas } from "@/api/client";
import type { Json } from "@/definition/types";

/** The path that `goTo` takes to show a node's output in the run. */
export const OUTPUT = "output";

interface Shown {
  runId: string | null;
  /** True while a run is being started and has no id yet. */
  starting: boolean;
  /** Why the last start was refused. */
  refusal: unknown;
  /** The node that was to be run alone when the last start was refused. */
  refusedNode: string | null;
  /** The listener for a test call, with its addresses. */
  listening: Schemas["BegunOut"] | null;
  /** The open input dialog: `initial` is its initial input, `refusal` the problem of the last input. */
  asking: { until?: string; initial?: Json; refusal?: unknown } | null;
  /** The run whose failed node was selected automatically, which happens once. */
  jumped: string | null;
}

const NONE: Shown = {
  runId: null,
  starting: false,
  refusal: null,
  refusedNode: null,
  listening: null,
  asking: null,
  jumped: null,
};
const key = (flowId: string) => `headrace.editor.run.${flowId}`;

interface RunStore {
  flows: Record<string, Shown>;
  set: (flowId: string, patch: Partial<Shown>) => void;
}

export const useRunStore = create<RunStore>()((set, get) => ({
  flows: {},
  set: (flowId, patch) => {
    const next = { ...shownOf(get(), flowId), ...patch };
    set({ flows: { ...get().flows, [flowId]: next } });
    if (next.runId === null) sessionStorage.removeItem(key(flowId));
    else sessionStorage.setItem(key(flowId), next.runId);
  },
}));

const remembered = new Map<string, Shown>();

/** Return the state of a flow; at first the run shown before a reload, whose failure was already selected. */
export function shownOf({ flows }: RunStore, flowId: string): Shown {
  const known = flows[flowId] ?? remembered.get(flowId);
  if (known !== undefined) return known;
  const runId = sessionStorage.getItem(key(flowId));
  const first = runId === null ? NONE : { ...NONE, runId, jumped: runId };
  remembered.set(flowId, first);
  return first;
}
