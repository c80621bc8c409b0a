/** Which run the editor of each flow shows, and how the last start went. A reload goes on showing it. */

import { create } from "zustand";
import type { Json } from "@/definition/types";

interface Shown {
  runId: string | null;
  /** Whether a run is being started, which nobody has the id of yet. */
  starting: boolean;
  /** Why the last start was refused. */
  refusal: unknown;
  /** What an input is being asked for: `initial` is shown first, `refusal` is what is wrong with the last one. */
  asking: { until?: string; initial?: Json; refusal?: unknown } | null;
  /** The run whose failure was jumped to, so that this is done once. */
  jumped: string | null;
}

const NONE: Shown = { runId: null, starting: false, refusal: null, asking: null, jumped: null };
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

/** What is shown for a flow; at first what this window showed before it was loaded anew, whose failure is known. */
export function shownOf({ flows }: RunStore, flowId: string): Shown {
  const known = flows[flowId] ?? remembered.get(flowId);
  if (known !== undefined) return known;
  const runId = sessionStorage.getItem(key(flowId));
  const first = runId === null ? NONE : { ...NONE, runId, jumped: runId };
  remembered.set(flowId, first);
  return first;
}
