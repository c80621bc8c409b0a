import { describe, expect, it } from "vitest";
import { figuresOf, type Metrics } from "./figures";

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
