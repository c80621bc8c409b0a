/** Whether things still change, and so are worth looking at again. */
import { CALM, LIVE } from "@/api/queries";
import type { Step } from "./states";

interface Moving {
  status: string;
  waiting?: string | null;
}

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

/** Milliseconds to the next look at a run: never where it has ended, since then nothing changes. */
export function pollOf(run: Moving | undefined): number | false {
  if (run === undefined) return LIVE;
  if (hasEnded(run)) return false;
  return isMoving(run) ? LIVE : CALM / 2;
}
