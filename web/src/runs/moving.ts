/** Checks whether runs and steps can still change, for polling. */
import { CALM, LIVE } from "@/api/queries";
import type { Step } from "./states";

interface Moving {
  status: string;
  waiting?: string | null;
  cancelled?: boolean;
  finished_at?: string | null;
}

/** Milliseconds after a cancellation in which the active node usually ends. */
const SETTLES = 60_000;

export function hasEnded(run: Moving): boolean {
  return run.status === "success" || run.status === "failed";
}

/** Return true while a run is executing: it has not ended and is not waiting. */
export function isMoving(run: Moving): boolean {
  return !hasEnded(run) && !run.waiting;
}

export function moves(step: Pick<Step, "status">): boolean {
  return step.status === "running" || step.status === "waiting";
}

/**
 * Return true while a node may be executing: a cancellation ends the run at once, and its active node reports later.
 */
function settles(run: Moving): boolean {
  return run.cancelled === true && !!run.finished_at && Date.now() - Date.parse(run.finished_at) < SETTLES;
}

/** Milliseconds until the next poll of a run; false after it has ended and settled. */
export function pollOf(run: Moving | undefined): number | false {
  if (run === undefined) return LIVE;
  if (hasEnded(run)) return settles(run) ? CALM / 2 : false;
  return isMoving(run) ? LIVE : CALM / 2;
}
