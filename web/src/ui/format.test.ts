import { describe, expect, it } from "vitest";
import { duration, presentFor, timeAgo } from "./format";

/** Return a local time. */
function at(day: number, hour: number, minute = 0, second = 0): Date {
  return new Date(2026, 10, day, hour, minute, second);
}

function ago(then: Date, now: Date): string {
  return timeAgo(then.toISOString(), now.getTime());
}

describe("timeAgo", () => {
  it("counts calendar days, not 24 hours", () => {
    // 40 hours ahead is the day after tomorrow here, and 47 hours ago the day before yesterday.
    expect(ago(at(14, 12), at(12, 20))).toBe("in 2 days");
    expect(ago(at(10, 9), at(12, 8))).toBe("2 days ago");
    expect(ago(at(11, 8), at(12, 20))).toBe("yesterday");
    expect(ago(at(13, 21), at(12, 20))).toBe("tomorrow");
  });

  it('counts hours within a day, and says "just now"', () => {
    expect(ago(at(12, 23), at(12, 20))).toBe("in 3 hr");
    expect(ago(at(11, 21), at(12, 20))).toBe("23 hr ago");
    expect(ago(at(12, 20, 0, 0), at(12, 20, 0, 1))).toBe("just now");
    expect(ago(at(12, 20, 0, 1), at(12, 20, 0, 0))).toBe("now");
  });
});

it("names the year of a date in another year", () => {
  expect(ago(at(1, 12), at(30, 12))).not.toContain("2026");
  expect(ago(new Date(2027, 2, 1, 12), at(30, 12))).toContain("2027");
});

describe("presentFor", () => {
  const [tick, now] = [at(12, 20, 0, 0), at(12, 20, 0, 4)];
  const told = (then: Date) =>
    timeAgo(then.toISOString(), presentFor(then.toISOString(), tick.getTime(), now.getTime()));

  it("never shows a past time as future, although the page's clock ticks", () => {
    expect(told(at(12, 20, 0, 3))).toBe("just now");
    expect(told(at(12, 19, 59, 50))).toBe("10 sec ago");
  });

  it("keeps a future time in the future", () => {
    expect(told(at(12, 20, 0, 9))).toBe("in 9 sec");
  });
});

describe("duration", () => {
  it.each([
    [null, "–"],
    [0.4, "<1 ms"],
    [12.3, "12 ms"],
    [999.7, "1.0 s"],
    [9_970, "10 s"],
    [59_700, "1 min 0 s"],
    [119_700, "2 min 0 s"],
    [3_599_900, "1 h 0 min"],
    [7_800_000, "2 h 10 min"],
  ])("%s ms is %s", (ms, words) => {
    expect(duration(ms)).toBe(words);
  });
});
