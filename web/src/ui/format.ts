/** Formats for times, durations and sizes, in the viewer's time zone. */

/**
 * The app is in English, and so are its times and numbers: "vor 3 Min." within an English sentence is confusing. Use
 * the viewer's English locale; else day before month and 24 hours, as in most countries.
 */
export const LOCALE = globalThis.navigator?.languages?.find((language) => /^en(-|$)/i.test(language)) ?? "en-GB";

const dayTime = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeStyle: "medium" });
const SHORT = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" } as const;
const short = new Intl.DateTimeFormat(LOCALE, SHORT);
const shortWithYear = new Intl.DateTimeFormat(LOCALE, { ...SHORT, year: "numeric" });
const relative = new Intl.RelativeTimeFormat(LOCALE, { numeric: "auto", style: "short" });

/** Return an exact time, such as "25 Nov 2026, 14:03:11". */
export function wholeTime(iso: string): string {
  return dayTime.format(new Date(iso));
}

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
];

/**
 * Return the current time for relative times: the page clock's last tick, at most a few seconds ago, but not so early
 * that a past event would seem to be in the future.
 */
export function presentFor(iso: string, tick: number, now: number): number {
  const at = new Date(iso).getTime();
  return at <= now ? Math.max(tick, at) : tick;
}

/** Return the number of the day in the viewer's calendar. */
function dayOf(ms: number): number {
  const date = new Date(ms);
  return Math.round(Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) / 86_400_000);
}

/** Return a relative time: "3 min ago", "in 2 hr", "tomorrow" by the calendar; beyond a week the date, and its year if not the current one. */
export function timeAgo(iso: string, now: number): string {
  const at = new Date(iso).getTime();
  const seconds = (at - now) / 1_000;
  if (Math.abs(seconds) > 7 * 86_400) {
    const isThisYear = new Date(at).getFullYear() === new Date(now).getFullYear();
    return (isThisYear ? short : shortWithYear).format(at);
  }
  if (Math.abs(seconds) < 2) return seconds <= 0 ? "just now" : "now";
  if (Math.abs(seconds) >= 86_400) return relative.format(dayOf(at) - dayOf(now), "day");
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  }
  return "now";
}

/** Return milliseconds, with fractions, for a duration in microseconds. */
export function milliseconds(us: number | null): number | null {
  return us === null ? null : us / 1_000;
}

/** Return a duration: "12 ms", "1.4 s", "3 min 5 s", "2 h 10 min". */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1) return "<1 ms";
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return `${ms < 9_950 ? (ms / 1_000).toFixed(1) : seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function count(number: number): string {
  return new Intl.NumberFormat(LOCALE).format(number);
}

export function percent(share: number): string {
  return new Intl.NumberFormat(LOCALE, {
    style: "percent",
    maximumFractionDigits: share < 0.1 ? 1 : 0,
  }).format(share);
}

/** Return a size: "1.2 MB". */
export function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB"];
  const step = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), units.length - 1);
  const scaled = bytes / 1_000 ** step;
  return `${scaled.toFixed(step === 0 || scaled >= 100 ? 0 : 1)} ${units[step]}`;
}

/** Convert the viewer's local time (`2026-01-31T14:00`) to UTC for the server; undefined if it is not a time. */
export function instant(local: string): string | undefined {
  const date = new Date(local);
  return local === "" || Number.isNaN(date.getTime()) ? undefined : date.toISOString();
}
