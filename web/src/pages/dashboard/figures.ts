/** Compute chart data from the server's metrics; pure. */
import type { Schemas } from "@/api/client";
import { LOCALE } from "@/ui/format";

export type Metrics = Pick<Schemas["MetricsOut"], "daily" | "hourly">;
export type Range = "1" | "7" | "30";

export const RANGES: { value: Range; label: string }[] = [
  { value: "1", label: "24 hours" },
  { value: "7", label: "7 days" },
  { value: "30", label: "30 days" },
];

export interface Figures {
  /** The period of each bar: an hour of the viewer's day, or a UTC day as the server counts. */
  labels: string[];
  /** Short labels for the axis. */
  ticks: string[];
  success: number[];
  failed: number[];
  /** The failure rate; null if no run finished. */
  rates: (number | null)[];
  total: number;
  totalFailed: number;
}

const hourTick = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit" });
const hourLabel = new Intl.DateTimeFormat(LOCALE, {
  weekday: "short",
  hour: "2-digit",
  minute: "2-digit",
});
const dayTick = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "short", timeZone: "UTC" });
const dayLabel = new Intl.DateTimeFormat(LOCALE, {
  weekday: "short",
  day: "numeric",
  month: "short",
  timeZone: "UTC",
});

export function figuresOf(metrics: Metrics, range: Range): Figures {
  const isHours = range === "1" && metrics.hourly !== undefined;
  const parts = isHours
    ? (metrics.hourly ?? []).map((part) => ({ ...part, at: new Date(part.hour) }))
    : metrics.daily.map((part) => ({ ...part, at: new Date(`${part.day}T00:00:00Z`) }));
  const sum = (count: (part: { total: number; failed: number }) => number) =>
    parts.reduce((all, part) => all + count(part), 0);
  return {
    labels: parts.map(({ at }) => (isHours ? hourLabel : dayLabel).format(at)),
    ticks: parts.map(({ at }) => (isHours ? hourTick : dayTick).format(at)),
    success: parts.map((part) => part.success),
    failed: parts.map((part) => part.failed),
    rates: parts.map((part) => (part.total === 0 ? null : part.failed / part.total)),
    total: sum((part) => part.total),
    totalFailed: sum((part) => part.failed),
  };
}
