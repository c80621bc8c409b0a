/** Texts about runs, used on several pages. */
import type { Schemas } from "@/api/client";
import { wholeTime } from "@/ui/format";
import { outcomeOf } from "@/ui/StatusBadge";

type Told = Pick<Schemas["RunOut"], "status" | "error_text" | "waiting" | "cancelled">;

export const TRIGGERS: Record<Schemas["RunOut"]["triggered_by"], string> = {
  manual: "Manual",
  schedule: "Schedule",
  webhook: "Webhook",
};

/** Labels of the kinds of failure. */
export const ERROR_KINDS: Record<NonNullable<Schemas["RunOut"]["error_kind"]>, string> = {
  config: "Invalid settings or input",
  expression: "Expression error",
  data: "Unreadable data",
  credential: "Credential error",
  egress: "Address not permitted",
  refused: "Rejected by the service",
  remote: "Service unavailable",
  timeout: "Timeout",
  limit: "Limit reached",
  code: "Error in code",
  stop: "Stopped by a node",
  cancelled: "Cancelled",
  interrupted: "Interrupted by a restart",
  storage: "Storage error",
  bug: "Internal error",
};

export function firstLine(text: string): string {
  const line = text.trimStart().split("\n", 1)[0] ?? "";
  return line.length > 300 ? `${line.slice(0, 300)}…` : line;
}

/** Return the line below a run's outcome: the error, or the reason for which it waits; null for none. */
export function aboutRun(run: Told): string | null {
  const outcome = outcomeOf(run);
  if (run.error_text) return firstLine(run.error_text);
  if (outcome === "waiting" && run.waiting) return waitingText(run.waiting);
  return null;
}

const MOMENT = /^until (\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC$/;

/**
 * Return the reason for which a run waits, as a text: "approval: Pay it?" -> "Waiting for an answer: Pay it?"; a time is shown in the viewer's
 * time zone.
 */
export function waitingText(reason: string): string {
  const line = firstLine(reason);
  const [, day, time] = MOMENT.exec(line) ?? [];
  if (day !== undefined) return `Waiting until ${wholeTime(`${day}T${time}Z`)}`;
  if (line.startsWith("until ")) return `Waiting ${line}`;
  const [kind, ...rest] = line.split(": ");
  return kind === "approval" ? `Waiting for an answer: ${rest.join(": ")}` : `Waiting for ${line}`;
}

/** Return the verb on the button of an answer. */
export function verbOf(answer: string): string {
  const verbs: Record<string, string> = { approved: "Approve", rejected: "Reject", received: "Continue" };
  return verbs[answer] ?? answer.charAt(0).toUpperCase() + answer.slice(1);
}

/** Return the end of a run's id, by which people tell runs apart. */
export function shortId(id: string): string {
  return id.slice(-6);
}
