import { expect, test } from "vitest";
import { dueInWords } from "./due";

test.each([
  ["0 6 * * *", "Europe/Berlin", "at 6:00 (Europe/Berlin)"],
  ["15 * * * *", "UTC", "at minute 15 of every hour (UTC)"],
  ["*/5 * * * *", "UTC", "every 5 minutes"],
  ["0 0 L * *", "UTC", "0 0 L * * (UTC)"],
  ["every 300 s", null, "every 300 s"],
])("%s in %s is due %s", (describes, timezone, words) => {
  expect(dueInWords({ describes, timezone })).toBe(words);
});
