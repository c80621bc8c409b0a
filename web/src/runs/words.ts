/** Texts about runs, used on several pages. */
import type { Schemas } from "@/api/client";
import type { FlowEdge } from "@/definition/types";
import { count, wholeTime } from "@/ui/format";
import { outcomeOf } from "@/ui/StatusBadge";

type Told = Pick<Schemas["RunOut"], "status" | "error_text" | "waiting" | "cancelled">;

export const TRIGGERS: Record<Schemas["RunOut"]["triggered_by"], string> = {
  manual: "Manual",
  schedule: "Schedule",
  webhook: "Webhook or form",
};

type Started = Pick<Schemas["RunOut"], "triggered_by" | "draft" | "until" | "only" | "pinned">;

/** Return what started a run, in words: a run of a draft, of a part of the flow or with pinned outputs is a test. */
export function triggerOf({ triggered_by, draft, until, only, pinned }: Started): string {
  return draft || until || only || pinned?.length ? "Test" : TRIGGERS[triggered_by];
}

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

// Labels of the edges of a run; pure.

/** The number of items by the node whose output is a list, and by `keyOf` a branch. */
export type Counts = ReadonlyMap<string, number>;

/** The name of a branch in the counts: some nodes send different items to each branch. */
export function keyOf(nodeId: string, branch: string): string {
  return `${nodeId} ${branch}`;
}

/** Return the number of items that went over an edge, if they are known. */
export function itemsOver(edge: Pick<FlowEdge, "from" | "branch">, counts: Counts | undefined) {
  return counts?.get(keyOf(edge.from, edge.branch ?? "")) ?? counts?.get(edge.from);
}

/** Return the label of an edge: its branch, and the number of items if it passed on a list; undefined for neither. */
export function edgeLabel(edge: Pick<FlowEdge, "branch">, items: number | undefined): string | undefined {
  const amount = items === undefined ? undefined : `${count(items)} ${items === 1 ? "item" : "items"}`;
  return [edge.branch, amount].filter((part) => part !== undefined).join(", ") || undefined;
}

type Linked = { id: string; workflow_id: string };

/** Return the id of the agent if it ran on its own, outside a flow; else undefined. */
export function agentOf({ workflow_id }: Pick<Linked, "workflow_id">): string | undefined {
  return workflow_id.startsWith("agent:") ? workflow_id.slice("agent:".length) : undefined;
}

/** Return the address of what ran: the flow, or the agent. */
export function definitionAt(run: Pick<Linked, "workflow_id">): string {
  const agent = agentOf(run);
  return agent === undefined ? `/flows/${run.workflow_id}` : `/agents/${encodeURIComponent(agent)}`;
}

/** Return the address of the editor with this run on its canvas and this node selected; of an agent, its page. */
export function inEditor(run: Linked, node: string | null | undefined): string {
  if (agentOf(run) !== undefined) return definitionAt(run);
  const query = new URLSearchParams({ ...(node ? { node } : {}), run: run.id });
  return `/flows/${run.workflow_id}?${query}`;
}
