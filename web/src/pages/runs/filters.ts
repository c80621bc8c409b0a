/** The filters of the list of runs: from the address to the query of the API. Pure. */

import type { Schemas } from "@/api/client";
import { ERROR_KINDS, TRIGGERS } from "@/runs/words";
import { count, instant, wholeTime } from "@/ui/format";

export const DEFAULTS = {
  outcome: "",
  flow: "",
  triggered_by: "",
  error_kind: "",
  range: "",
  since: "",
  until: "",
  search: "",
  data: "",
};

export type Filters = typeof DEFAULTS;

interface Asked {
  status?: string;
  cancelled?: boolean;
  waiting?: boolean;
  workflow_id?: string;
  triggered_by?: "manual" | "schedule" | "webhook";
  error_kind?: string;
  since?: string;
  until?: string;
  search?: string;
  data?: string;
}

const OUTCOMES: Record<string, Asked> = {
  success: { status: "success" },
  failed: { status: "failed", cancelled: false },
  cancelled: { cancelled: true },
  running: { status: "running" },
  waiting: { waiting: true },
  pending: { status: "pending" },
  unfinished: { status: "pending,running" },
};

export const OUTCOME_OPTIONS = [
  { value: "", label: "Any status" },
  { value: "failed", label: "Failed" },
  { value: "success", label: "Succeeded" },
  { value: "running", label: "Running" },
  { value: "waiting", label: "Waiting for an answer" },
  { value: "pending", label: "Queued or waiting" },
  { value: "cancelled", label: "Cancelled" },
];

export const TRIGGER_OPTIONS = [
  { value: "", label: "Any trigger" },
  ...Object.entries(TRIGGERS).map(([value, label]) => ({ value, label })),
];

// Cancelled runs have a status of their own in the list.
export const ERROR_OPTIONS = [
  { value: "", label: "Any error" },
  ...Object.entries(ERROR_KINDS)
    .filter(([value]) => value !== "cancelled")
    .map(([value, label]) => ({ value, label })),
];

const MINUTE = 60_000;
const RANGES: Record<string, number> = {
  "1h": 60 * MINUTE,
  "24h": 24 * 60 * MINUTE,
  "7d": 7 * 24 * 60 * MINUTE,
  "30d": 30 * 24 * 60 * MINUTE,
};

export const RANGE_OPTIONS = [
  { value: "", label: "Any time" },
  { value: "1h", label: "Last hour" },
  { value: "24h", label: "Last 24 hours" },
  { value: "7d", label: "Last 7 days" },
  { value: "30d", label: "Last 30 days" },
  { value: "custom", label: "Custom range" },
];

/** Return the selected option of the time filter: times in the address mean a custom range. */
export function rangeOf(filters: Filters): string {
  return filters.range || (filters.since || filters.until ? "custom" : "");
}

/** Return the API query. `now` is rounded to minutes, so that a repeated query hits the cache. */
export function askedOf(filters: Filters, now: number): Asked {
  const asked: Asked = { ...OUTCOMES[filters.outcome] };
  if (filters.flow) asked.workflow_id = filters.flow;
  const trigger = TRIGGER_OPTIONS.find((one) => one.value !== "" && one.value === filters.triggered_by);
  if (trigger) asked.triggered_by = trigger.value as Asked["triggered_by"];
  if (ERROR_OPTIONS.some((one) => one.value !== "" && one.value === filters.error_kind)) {
    asked.error_kind = filters.error_kind;
  }
  const range = RANGES[filters.range];
  if (range !== undefined) {
    asked.since = new Date(Math.floor(now / MINUTE) * MINUTE - range).toISOString();
  } else {
    const [since, until] = [instant(filters.since), instant(filters.until)];
    if (since) asked.since = since;
    if (until) asked.until = until;
  }
  if (filters.search) asked.search = filters.search;
  if (filters.data) asked.data = filters.data;
  return asked;
}

// The result of a search in run data: how far it looked, and where a run has the text. Pure.

type Page = Schemas["RunItemOutFoundList"];
export type FoundPlace = Schemas["FoundPlaceOut"];
export type SearchedRuns = Schemas["SearchedOut"];

/** Return how far all pages together have looked; null without a search in run data. */
export function searchedIn(pages: readonly Page[]): SearchedRuns | null {
  const each = pages.flatMap((page) => (page.searched === undefined ? [] : [page.searched]));
  if (each.length === 0) return null;
  return {
    runs: each.reduce((sum, one) => sum + one.runs, 0),
    until: each.findLast((one) => one.until !== null)?.until ?? null,
    partly_read: each.reduce((sum, one) => sum + one.partly_read, 0),
  };
}

function runs(number: number): string {
  return number === 1 ? "1 run" : `${count(number)} runs`;
}

/** Return how far a search looked, in words; `more`: older runs were not read. */
export function inWords({ runs: number, until, partly_read: partly }: SearchedRuns, more: boolean): string {
  const whole = more
    ? `Searched the latest ${runs(number)}${until === null ? "" : `, back to ${wholeTime(until)}`}.`
    : `Searched ${runs(number)}; there are no older ones.`;
  return partly === 0 ? whole : `${whole} ${runs(partly)} had too much data to read in full.`;
}

/** Return the name of a place in a run's data. */
export function nameOfPlace({ place, node_name: node }: FoundPlace): string {
  const of = node ? ` of ${node}` : "";
  const names: Record<FoundPlace["place"], string> = {
    error: "Error",
    input: "Input",
    output: "Output",
    step_error: `Error${of}`,
    step_item: `Item${of}`,
    step_output: `Output${of}`,
  };
  return names[place];
}

/** Return the address of the run at the place. */
export function addressOf(runId: string, { place, step }: FoundPlace): string {
  if (step !== null) return `/runs/${runId}?step=${step}`;
  return place === "error" ? `/runs/${runId}` : `/runs/${runId}?tab=${place}`;
}
