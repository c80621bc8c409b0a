/** What is said about runs, in words that hold everywhere. */
import type { Schemas } from "@/api/client";
import { wholeTime } from "@/ui/format";
import { outcomeOf } from "@/ui/StatusBadge";

type Told = Pick<Schemas["RunOut"], "status" | "error_text" | "waiting" | "cancelled">;

export const TRIGGERS: Record<Schemas["RunOut"]["triggered_by"], string> = {
  manual: "By hand",
  schedule: "Schedule",
  webhook: "Webhook",
};

export function firstLine(text: string): string {
  const line = text.trimStart().split("\n", 1)[0] ?? "";
  return line.length > 300 ? `${line.slice(0, 300)}…` : line;
}

/** What there is to know of a run beside its outcome: why it failed, what it waits for; null for nothing. */
export function aboutRun(run: Told): string | null {
  const outcome = outcomeOf(run);
  if (run.error_text) return firstLine(run.error_text);
  if (outcome === "waiting" && run.waiting) return `Waits for ${waitsFor(run.waiting)}`;
  return null;
}

const MOMENT = /^until (\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC$/;

/** "approval: Pay it?" -> "an answer: Pay it?"; "until 2026-01-01 08:30:00 UTC" -> that time, in the viewer's zone. */
export function waitsFor(reason: string): string {
  const line = firstLine(reason);
  const [, day, time] = MOMENT.exec(line) ?? [];
  if (day !== undefined) return `the time: ${wholeTime(`${day}T${time}Z`)}`;
  const [kind, ...rest] = line.split(": ");
  return kind === "approval" ? `an answer: ${rest.join(": ")}` : line.replace(/^until /, "the time: ");
}

/** The verb on a button for one of the answers that a node takes. */
export function verbOf(answer: string): string {
  const verbs: Record<string, string> = { approved: "Approve", rejected: "Reject", received: "Continue" };
  return verbs[answer] ?? answer.charAt(0).toUpperCase() + answer.slice(1);
}

/** How a run's name begins where the id stands for it: the last letters tell two runs apart. */
export function shortId(id: string): string {
  return id.slice(-6);
}
