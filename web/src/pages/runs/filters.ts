/** The filters of the list of runs: from the address to the query of the API. Pure. */

import { ERROR_KINDS } from "@/runs/words";
import { instant } from "@/ui/format";

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
  { value: "manual", label: "Manual" },
  { value: "schedule", label: "Schedule" },
  { value: "webhook", label: "Webhook" },
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
