/** Compute chart data from the server's metrics; pure. */
import type { Schemas } from "@/api/client";
import { cronInWords } from "@/forms/schema/cron";
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

/** Positions of a chart's axes; pure. */

const STEPS = [1, 2, 2.5, 5, 10];

/** Return a round step, so that at most `most` steps reach `top`. */
function roundStep(top: number, most: number): number {
  const power = 10 ** Math.floor(Math.log10(top / most));
  const factor = STEPS.find((step) => top / (step * power) <= most) ?? 10;
  return factor * power;
}

/** Return the values of the y axis from 0 to `top`, at most `most` steps apart from each other. */
export function valueTicks(top: number, most: number): number[] {
  const step = roundStep(top, most);
  return Array.from({ length: Math.floor(top / step + 1e-9) + 1 }, (_, at) => at * step);
}

const EVERY = [1, 2, 3, 4, 6, 7, 12];

/** Return the places of the x axis that get a label: each needs `space` pixels of the `width`. */
export function labelledPlaces(places: number, width: number, space: number): number[] {
  const every = EVERY.find((one) => (places / one) * space <= width) ?? Math.ceil((places * space) / width);
  return Array.from({ length: Math.ceil(places / every) }, (_, at) => at * every);
}

/** Return the points of a line in groups without gaps: a null value ends a group. */
export function unbroken(values: readonly (number | null)[]): [place: number, value: number][][] {
  const groups: [number, number][][] = [[]];
  values.forEach((value, place) => {
    if (value === null) groups.push([]);
    else groups.at(-1)?.push([place, value]);
  });
  return groups.filter((group) => group.length > 0);
}

type Due = Pick<Schemas["ScheduleOut"], "describes" | "timezone">;

/** Return the schedule as text: "at 6:00 (Europe/Berlin)", "every 300 s". */
export function dueInWords({ describes, timezone }: Due): string {
  const words = cronInWords(describes) ?? describes;
  const isOfTheClock = describes.includes("*") && !words.startsWith("every");
  return isOfTheClock && timezone !== null ? `${words} (${timezone})` : words;
}
