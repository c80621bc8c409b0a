/** Values of runs: how they are shown, and those that stand for larger ones. */
import { ApiError } from "@/api/client";
import { size } from "@/ui/format";

interface Reference {
  path: string;
  bytes: number;
}

/** Where the whole value can be fetched, if this is what the server gives instead of a large one; else null. */
export function referenceOf(value: unknown): Reference | null {
  if (typeof value !== "object" || value === null || Object.keys(value).length !== 2) return null;
  const { $ref: path, bytes } = value as { $ref?: unknown; bytes?: unknown };
  // Only an address of ours: the value may be what a stranger sent.
  if (typeof path !== "string" || typeof bytes !== "number") return null;
  return /^\/api\/runs\/run_\w+\/(input|output|steps\/\d+\/output)$/.test(path) ? { path, bytes } : null;
}

/** A text is shown as it is, since its lines can be read then; everything else as JSON. */
export function textOf(value: unknown): { text: string; language: "json" | "text" } {
  if (typeof value === "string") return { text: value, language: "text" };
  return { text: value === undefined ? "" : JSON.stringify(value, null, 2), language: "json" };
}

/** As many characters fit into a line of a phone. */
const BRIEF = 40;
const LONGEST = 400;

/** The beginning of a value on one line, null where there is none; `more` where all of it is worth to be opened. */
export function briefOf(value: unknown): { text: string | null; more: boolean } {
  if (value === null || value === undefined) return { text: null, more: false };
  const reference = referenceOf(value);
  if (reference !== null) return { text: size(reference.bytes), more: true };
  // In JSON a line break is one of the layout: those within texts are written as \n.
  const whole = typeof value === "string" ? value : JSON.stringify(value, null, 1).replace(/\n */g, " ");
  return { text: whole.slice(0, LONGEST), more: whole.length > BRIEF || whole.includes("\n") };
}

/** The value itself, fetched where this is what the server gives instead of a large one. */
export async function fetchWhole(value: unknown, signal?: AbortSignal): Promise<unknown> {
  const reference = referenceOf(value);
  if (reference === null) return value;
  const answer = await fetch(reference.path, { credentials: "same-origin", signal });
  if (!answer.ok) throw new ApiError(answer.status, `The server answered ${answer.status}`);
  return answer.json();
}
