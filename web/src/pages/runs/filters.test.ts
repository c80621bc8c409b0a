import { describe, expect, it } from "vitest";
import { askedOf, DEFAULTS, rangeOf } from "./filters";

const NOW = Date.parse("2026-03-01T12:00:42Z");

describe("the filters of runs", () => {
  it("query nothing by default", () => {
    expect(askedOf(DEFAULTS, NOW)).toEqual({});
  });

  it("distinguish failed from cancelled runs, which the server counts as failed", () => {
    expect(askedOf({ ...DEFAULTS, outcome: "failed" }, NOW)).toEqual({ status: "failed", cancelled: false });
    expect(askedOf({ ...DEFAULTS, outcome: "cancelled" }, NOW)).toEqual({ cancelled: true });
    expect(askedOf({ ...DEFAULTS, outcome: "waiting" }, NOW)).toEqual({ waiting: true });
  });

  it("start a range at a whole minute", () => {
    expect(askedOf({ ...DEFAULTS, range: "1h" }, NOW).since).toBe("2026-03-01T11:00:00.000Z");
  });

  it("accept two local times", () => {
    const filters = { ...DEFAULTS, since: "2026-03-01T10:00", until: "rubbish" };
    expect(askedOf(filters, NOW)).toEqual({ since: new Date("2026-03-01T10:00").toISOString() });
    expect(rangeOf(filters)).toBe("custom");
  });

  it("query a kind of error", () => {
    expect(askedOf({ ...DEFAULTS, error_kind: "timeout" }, NOW)).toEqual({ error_kind: "timeout" });
  });

  it("ignore unknown values", () => {
    const odd = { ...DEFAULTS, outcome: "odd", triggered_by: "odd", range: "odd", error_kind: "odd" };
    expect(askedOf(odd, NOW)).toEqual({});
  });
});
