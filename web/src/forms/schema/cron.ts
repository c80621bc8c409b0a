/** Describe a cron expression in English. */

export const CRON_EXAMPLES: { cron: string; label: string }[] = [
  { cron: "*/15 * * * *", label: "Every 15 minutes" },
  { cron: "0 * * * *", label: "Every hour" },
  { cron: "0 8 * * *", label: "Every day at 8:00" },
  { cron: "30 8 * * MON-FRI", label: "Monday to Friday at 8:30" },
  { cron: "0 9 * * MON", label: "Every Monday at 9:00" },
  { cron: "0 6 1 * *", label: "Monthly on day 1 at 6:00" },
];

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const SHORT = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];

function dayName(part: string): string | undefined {
  const at = /^[0-7]$/.test(part) ? Number(part) % 7 : SHORT.indexOf(part.toUpperCase());
  return DAYS[at];
}

function monthName(part: string): string | undefined {
  if (/^\d+$/.test(part)) return MONTHS[Number(part) - 1];
  return MONTHS.find((one) => one.slice(0, 3).toUpperCase() === part.toUpperCase());
}

function and(words: string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

/** Return names for `MON-FRI` and `1,15`; undefined for more complex parts. */
function named(field: string, name: (part: string) => string | undefined): string | undefined {
  const words: string[] = [];
  for (const piece of field.split(",")) {
    const ends = piece.split("-").map(name);
    if (ends.length > 2 || ends.some((end) => end === undefined)) return undefined;
    words.push(ends.join(" to "));
  }
  return and(words);
}

const number = (low: number, high: number) => (part: string) =>
  /^\d{1,2}$/.test(part) && Number(part) >= low && Number(part) <= high ? part : undefined;
const MINUTE = number(0, 59);
const HOUR = number(0, 23);
const DAY = number(1, 31);

function timeOf(minute: string, hour: string): string | undefined {
  const step = /^\*\/(\d+)$/.exec(minute)?.[1];
  const within = hour === "*" ? "" : named(hour, HOUR);
  if (within === undefined) return undefined;
  const during = hour === "*" ? "" : ` during hours ${within}`;
  if (minute === "*") return `every minute${during}`;
  if (step !== undefined) return `every ${step} minutes${during}`;
  const hourStep = /^\*\/(\d+)$/.exec(hour)?.[1];
  const minutes = named(minute, MINUTE);
  if (minutes === undefined) return undefined;
  if (hour === "*") return minute === "0" ? "every hour" : `at minute ${minutes} of every hour`;
  if (hourStep !== undefined) return `at minute ${minutes} of every ${hourStep} hours`;
  if (!/^\d+$/.test(minute) || !/^[\d,]+$/.test(hour)) return undefined;
  return `at ${and(hour.split(",").map((one) => `${Number(one)}:${minute.padStart(2, "0")}`))}`;
}

/**
 * Return a description, such as "at 8:30, on Monday to Friday"; undefined if the expression is invalid or too complex.
 */
export function cronInWords(cron: string): string | undefined {
  const [minute, hour, day, month, weekday, ...more] = cron.trim().split(/\s+/);
  if (weekday === undefined || more.length > 0 || !minute || !hour || !day || !month) return undefined;
  const time = timeOf(minute, hour);
  const days = day === "*" ? "" : named(day, DAY);
  const months = month === "*" ? "" : named(month, monthName);
  const weekdays = weekday === "*" ? "" : named(weekday, dayName);
  if (time === undefined || days === undefined || months === undefined || weekdays === undefined) return undefined;
  // If both day fields are set, cron runs when either matches.
  const on = [days && `day ${days} of the month`, weekdays && weekdays].filter(Boolean).join(" or ");
  return [time, on && `on ${on}`, months && `in ${months}`].filter(Boolean).join(", ");
}
