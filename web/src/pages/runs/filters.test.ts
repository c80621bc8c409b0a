import { describe, expect, it } from "vitest";
import { wholeTime } from "@/ui/format";
import { addressOf, askedOf, DEFAULTS, type FoundPlace, inWords, nameOfPlace, rangeOf, searchedIn } from "./filters";

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

const AT = "2026-05-03T12:00:00Z";
const page = (runs: number, until: string | null, partly_read = 0) => ({
  items: [],
  searched: { runs, until, partly_read },
});
const place = (given: Partial<FoundPlace>): FoundPlace => ({
  place: "input",
  text: "",
  step: null,
  node_id: null,
  node_name: null,
  ...given,
});

it("adds up the pages", () => {
  const pages = [page(5_000, "2026-05-04T00:00:00Z", 1), page(200, AT), page(0, null)];
  expect(searchedIn(pages)).toEqual({ runs: 5_200, until: AT, partly_read: 1 });
  expect(searchedIn([{ items: [] }])).toBeNull();
  expect(searchedIn([])).toBeNull();
});

it("says how far it looked", () => {
  const searched = { runs: 1_240, until: AT, partly_read: 0 };
  expect(inWords(searched, true)).toBe(`Searched the latest 1,240 runs, back to ${wholeTime(AT)}.`);
  expect(inWords(searched, false)).toBe("Searched 1,240 runs; there are no older ones.");
  expect(inWords({ runs: 1, until: AT, partly_read: 1 }, false)).toBe(
    "Searched 1 run; there are no older ones. 1 run had too much data to read in full.",
  );
});

it("names each place, and opens it", () => {
  const output = place({ place: "step_output", step: 4, node_id: "n", node_name: "Fetch" });
  expect([nameOfPlace(output), addressOf("run_1", output)]).toEqual(["Output of Fetch", "/runs/run_1?step=4"]);
  expect([nameOfPlace(place({})), addressOf("run_1", place({}))]).toEqual(["Input", "/runs/run_1?tab=input"]);
  expect(addressOf("run_1", place({ place: "error" }))).toBe("/runs/run_1");
});
