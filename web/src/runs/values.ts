/** Values of runs: how to show them, and references to large values. */
import { ApiError } from "@/api/client";
import { CALM, LIVE } from "@/api/queries";
import { size } from "@/ui/format";
import type { Step } from "./states";

interface Reference {
  path: string;
  bytes: number;
}

/** Return the reference if the server sent one in place of a large value; else null. */
export function referenceOf(value: unknown): Reference | null {
  if (typeof value !== "object" || value === null || Object.keys(value).length !== 2) return null;
  const { $ref: path, bytes } = value as { $ref?: unknown; bytes?: unknown };
  // Accept only paths of our server: the value may come from a stranger.
  if (typeof path !== "string" || typeof bytes !== "number") return null;
  return /^\/api\/runs\/run_\w+\/(input|output|steps\/\d+\/output)$/.test(path) ? { path, bytes } : null;
}

/** Text is shown as it is, to keep its line breaks; everything else as JSON. */
export function textOf(value: unknown): { text: string; language: "json" | "text" } {
  if (typeof value === "string") return { text: value, language: "text" };
  return { text: value === undefined ? "" : JSON.stringify(value, null, 2), language: "json" };
}

/** The number of characters that fit on a line of a phone. */
const BRIEF = 40;
const LONGEST = 400;

/** Return the beginning of a value on one line, null if there is none; `more` is true if the value is longer. */
export function briefOf(value: unknown): { text: string | null; more: boolean } {
  if (value === null || value === undefined) return { text: null, more: false };
  const reference = referenceOf(value);
  if (reference !== null) return { text: size(reference.bytes), more: true };
  // The body of a response comes before its headers, which would push it out of sight. In JSON, line breaks are layout
  // only: line breaks within texts are written as \n.
  const first = typeof value === "object" && "body" in value ? Object.assign({ body: value.body }, value) : value;
  const whole = typeof first === "string" ? first : JSON.stringify(first, null, 1).replace(/\n */g, " ");
  return { text: whole.slice(0, LONGEST), more: whole.length > BRIEF || whole.includes("\n") };
}

/** Return the value, fetched from the server if it is a reference. */
export async function fetchWhole(value: unknown, signal?: AbortSignal): Promise<unknown> {
  const reference = referenceOf(value);
  if (reference === null) return value;
  const answer = await fetch(reference.path, { credentials: "same-origin", signal });
  if (!answer.ok) throw new ApiError(answer.status, `The server answered ${answer.status}`);
  return answer.json();
}

// Checks whether runs and steps can still change, for polling.

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
