/** The undo and redo history: whole definitions that share unchanged parts. */
import type { Definition } from "@/definition/types";

export interface Moment {
  definition: Definition;
  selected: readonly string[];
}

/** A change and the definition before it. */
export interface Change {
  label: string;
  before: Moment;
}

export interface History {
  past: readonly Change[];
  future: readonly { label: string; after: Moment }[];
  /**
   * Key and time (ms) of the latest change: a following change with the same key soon after is merged into it, as in
   * typing.
   */
  latest: { key: string; at: number } | null;
}

export const NO_HISTORY: History = { past: [], future: [], latest: null };
export const LONGEST = 200;
const TOGETHER = 1_500;

export function recorded(
  history: History,
  label: string,
  before: Moment,
  now: number,
  key?: string,
): History {
  const latest = key === undefined ? null : { key, at: now };
  const goesOn =
    key !== undefined &&
    history.latest?.key === key &&
    now - history.latest.at < TOGETHER &&
    history.future.length === 0 &&
    history.past.length > 0;
  if (goesOn) return { ...history, latest };
  return { past: [...history.past, { label, before }].slice(-LONGEST), future: [], latest };
}

export function undone(history: History, now: Moment): { history: History; moment: Moment } | undefined {
  const last = history.past.at(-1);
  if (last === undefined) return undefined;
  const future = [{ label: last.label, after: now }, ...history.future];
  return { history: { past: history.past.slice(0, -1), future, latest: null }, moment: last.before };
}

export function redone(history: History, now: Moment): { history: History; moment: Moment } | undefined {
  const [next, ...future] = history.future;
  if (next === undefined) return undefined;
  const past = [...history.past, { label: next.label, before: now }];
  return { history: { past, future, latest: null }, moment: next.after };
}
