import type { Schemas } from "@/api/client";
import { cronInWords } from "@/forms/schema/cron";

type Due = Pick<Schemas["ScheduleOut"], "describes" | "timezone">;

/** Return the schedule as text: "at 6:00 (Europe/Berlin)", "every 300 s". */
export function dueInWords({ describes, timezone }: Due): string {
  const words = cronInWords(describes) ?? describes;
  const isOfTheClock = describes.includes("*") && !words.startsWith("every");
  return isOfTheClock && timezone !== null ? `${words} (${timezone})` : words;
}
