import { expect, it } from "vitest";
import { CRON_EXAMPLES, cronInWords } from "./cron";

it("describes a cron expression", () => {
  expect(cronInWords("*/15 * * * *")).toBe("every 15 minutes");
  expect(cronInWords("0 * * * *")).toBe("every hour");
  expect(cronInWords("30 8 * * MON-FRI")).toBe("at 8:30, on Monday to Friday");
  expect(cronInWords("0 6,18 1,15 * *")).toBe("at 6:00 and 18:00, on day 1 and 15 of the month");
  expect(cronInWords("5 4 * 1 0")).toBe("at 4:05, on Sunday, in January");
  expect(cronInWords("0 0 13 * FRI")).toBe("at 0:00, on day 13 of the month or Friday");
  expect(cronInWords("10 */6 * * *")).toBeUndefined();
});

it("has no description for an expression that it cannot read", () => {
  expect(cronInWords("0 3 * *")).toBeUndefined();
  expect(cronInWords("a b c d e")).toBeUndefined();
  for (const never of ["60 8 * * *", "0 24 * * *", "99 * * * *", "0 0 0 * *", "0 0 32 * *", "0 0 1 13 *"])
    expect(cronInWords(never)).toBeUndefined();
  expect(cronInWords("0 0 * * MON#2")).toBeUndefined();
});

it("describes each of its examples", () => {
  for (const { cron } of CRON_EXAMPLES) expect(cronInWords(cron)).toBeDefined();
});
