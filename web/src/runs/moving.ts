/** Whether things still change, and so are worth looking at again. */
import { CALM, LIVE } from "@/api/queries";
import type { Step } from "./states";

interface Moving {
  status: string;
  waiting?: string | null;
  cancelled?: boolean;
  finished_at?: string | null;
}

/** Milliseconds after a cancel in which the node that was in hand then usually ends. */
const SETTLES = 60_000;

export function hasEnded(run: Moving): boolean {
  return run.status === "success" || run.status === "failed";
}

/** Whether a run does something at the moment: it neither ended nor waits for somebody. */
export function isMoving(run: Moving): boolean {
  return !hasEnded(run) && !run.waiting;
}

export function moves(step: Pick<Step, "status">): boolean {
  return step.status === "running" || step.status === "waiting";
}

/** Whether a node may be at work still: a cancel ends the run at once, and the node in hand then says later how it went. */
function settles(run: Moving): boolean {
  return run.cancelled === true && !!run.finished_at && Date.now() - Date.parse(run.finished_at) < SETTLES;
}

/** Milliseconds to the next look at a run: never where it has ended and settled, since then nothing changes. */
export function pollOf(run: Moving | undefined): number | false {
  if (run === undefined) return LIVE;
  if (hasEnded(run)) return settles(run) ? CALM / 2 : false;
  return isMoving(run) ? LIVE : CALM / 2;
}
