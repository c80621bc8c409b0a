import { expect, it } from "vitest";
import { wholeTime } from "@/ui/format";
import { addressOf, type FoundPlace, inWords, nameOfPlace, searchedIn } from "./searched";

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
  expect([nameOfPlace(output), addressOf("run_1", output)]).toEqual([
    "Output of Fetch",
    "/runs/run_1?step=4",
  ]);
  expect([nameOfPlace(place({})), addressOf("run_1", place({}))]).toEqual(["Input", "/runs/run_1?tab=input"]);
  expect(addressOf("run_1", place({ place: "error" }))).toBe("/runs/run_1");
});
