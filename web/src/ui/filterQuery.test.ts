import { describe, expect, it } from "vitest";
import { filtersOf, filtersToSave, isShown } from "./filterQuery";

const DEFAULTS = { outcome: "", status: "draft,active", search: "" };

describe("saved filters", () => {
  it("have only what differs from the defaults, also an emptied filter", () => {
    expect(filtersToSave({ outcome: "failed", status: "", search: "" }, DEFAULTS)).toEqual({
      outcome: "failed",
      status: "",
    });
  });

  it("give each filter a value again, and ignore filters that the page no longer has", () => {
    expect(filtersOf({ status: "", gone: "x" }, DEFAULTS)).toEqual({ outcome: "", status: "", search: "" });
  });

  it("are shown if all filters are equal", () => {
    const query = { outcome: "failed" };
    expect(isShown(query, { ...DEFAULTS, outcome: "failed" }, DEFAULTS)).toBe(true);
    expect(isShown(query, { ...DEFAULTS, outcome: "failed", search: "x" }, DEFAULTS)).toBe(false);
    expect(isShown({}, DEFAULTS, DEFAULTS)).toBe(true);
  });
});
