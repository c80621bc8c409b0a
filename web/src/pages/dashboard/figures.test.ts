import { describe, expect, it, test } from "vitest";
import { dueInWords, figuresOf, labelledPlaces, type Metrics, unbroken, valueTicks } from "./figures";

const METRICS: Metrics = {
  daily: [
    { day: "2026-11-24", total: 4, success: 3, failed: 1, mean_duration_ms: 20 },
    { day: "2026-11-25", total: 0, success: 0, failed: 0, mean_duration_ms: null },
  ],
  hourly: [{ hour: "2026-11-25T10:00:00Z", total: 2, success: 1, failed: 1 }],
};

describe("the statistics of a period", () => {
  it("are by day for a week, with no failure rate for a day without runs", () => {
    const figures = figuresOf(METRICS, "7");
    expect(figures).toMatchObject({
      success: [3, 0],
      failed: [1, 0],
      rates: [0.25, null],
      total: 4,
      totalFailed: 1,
    });
    expect(figures.labels[0]).toContain("24");
  });

  it("are by hour for a day", () => {
    expect(figuresOf(METRICS, "1")).toMatchObject({ success: [1], failed: [1], total: 2 });
  });
});

describe("the axes of a chart", () => {
  it("have round values, also for shares and large numbers", () => {
    expect(valueTicks(4, 4)).toEqual([0, 1, 2, 3, 4]);
    expect(valueTicks(0.108, 4)).toEqual([0, 0.05, 0.1]);
    expect(valueTicks(5_400, 4)).toEqual([0, 2_000, 4_000]);
  });

  it("label as many places as there is space for", () => {
    expect(labelledPlaces(7, 500, 58)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(labelledPlaces(30, 500, 58)).toEqual([0, 4, 8, 12, 16, 20, 24, 28]);
    expect(labelledPlaces(24, 100, 58)).toEqual([0, 14]);
  });

  it("interrupt a line where there is no value", () => {
    expect(unbroken([0.5, null, 0, 1])).toEqual([
      [[0, 0.5]],
      [
        [2, 0],
        [3, 1],
      ],
    ]);
    expect(unbroken([null, null])).toEqual([]);
  });
});

test.each([
  ["0 6 * * *", "Europe/Berlin", "at 6:00 (Europe/Berlin)"],
  ["15 * * * *", "UTC", "at minute 15 of every hour (UTC)"],
  ["*/5 * * * *", "UTC", "every 5 minutes"],
  ["0 0 L * *", "UTC", "0 0 L * * (UTC)"],
  ["every 300 s", null, "every 300 s"],
])("%s in %s is due %s", (describes, timezone, words) => {
  expect(dueInWords({ describes, timezone })).toBe(words);
});
