/** The tour of the app: which step is shown. Each user's progress is kept in this browser. */
import { useSyncExternalStore } from "react";

const PREFIX = "headrace.tour.";
const DONE = "done";
const listeners = new Set<() => void>();
/** Progress that the storage did not take, because it is full. */
const unsaved = new Map<string, string>();

function read(userId: string): string | null {
  return unsaved.get(userId) ?? localStorage.getItem(PREFIX + userId);
}

function write(userId: string, progress: string): void {
  try {
    localStorage.setItem(PREFIX + userId, progress);
    unsaved.delete(userId);
  } catch {
    unsaved.set(userId, progress);
  }
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Show a step; the first one starts the tour. */
export function showStep(userId: string, step: number): void {
  write(userId, String(step));
}

/** End the tour. It is not offered again; the user menu starts it. */
export function endTour(userId: string): void {
  write(userId, DONE);
}

export interface Tour {
  /** The number of the step on the screen, from 0; null if there is none. */
  step: number | null;
  /** True until the user starts or declines it for the first time. */
  isNew: boolean;
}

export function useTour(userId: string): Tour {
  const progress = useSyncExternalStore(subscribe, () => read(userId));
  const step = progress === null || progress === DONE ? Number.NaN : Number(progress);
  return { step: Number.isInteger(step) ? step : null, isNew: progress === null };
}
