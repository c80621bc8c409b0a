/** Whether the user has dismissed the set-up of a flow. This browser remembers it. */
import { create } from "zustand";

const PREFIX = "headrace.setup.";

interface Dismissals {
  known: Record<string, boolean>;
  dismiss: (userId: string, flowId: string) => void;
}

const keyOf = (userId: string, flowId: string) => `${PREFIX}${userId}.${flowId}`;

const useDismissals = create<Dismissals>()((set, get) => ({
  known: {},
  dismiss: (userId, flowId) => {
    const key = keyOf(userId, flowId);
    set({ known: { ...get().known, [key]: true } });
    try {
      localStorage.setItem(key, "dismissed");
    } catch {
      // The storage is full: it is shown again the next time.
    }
  },
}));

export function useDismissed(userId: string, flowId: string): [boolean, () => void] {
  const key = keyOf(userId, flowId);
  const isDismissed = useDismissals((state) => state.known[key] ?? localStorage.getItem(key) !== null);
  return [isDismissed, () => useDismissals.getState().dismiss(userId, flowId)];
}
