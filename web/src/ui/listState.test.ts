import { describe, expect, it } from "vitest";
import { filtersOf, filtersToSave, isShown, readQuery, writeQuery } from "./listState";

const DEFAULTS = { status: "", sort: "newest" };

describe("filters in the address", () => {
  it("are the defaults if the address names none", () => {
    expect(readQuery("?sort=name&page=3", DEFAULTS)).toEqual({ status: "", sort: "name" });
  });

  it("omit defaults and keep other parameters", () => {
    expect(writeQuery("?page=3&sort=name&status=active", DEFAULTS, { sort: "newest" })).toBe("page=3&status=active");
  });

  it("survive characters that must be escaped in an address", () => {
    const query = writeQuery("", { search: "" }, { search: "a&b=ü" });
    expect(readQuery(query, { search: "" })).toEqual({ search: "a&b=ü" });
  });
});

const FLOW_DEFAULTS = { outcome: "", status: "draft,active", search: "" };

describe("saved filters", () => {
  it("have only what differs from the defaults, also an emptied filter", () => {
    expect(filtersToSave({ outcome: "failed", status: "", search: "" }, FLOW_DEFAULTS)).toEqual({
      outcome: "failed",
      status: "",
    });
  });

  it("give each filter a value again, and ignore filters that the page no longer has", () => {
    expect(filtersOf({ status: "", gone: "x" }, FLOW_DEFAULTS)).toEqual({
      outcome: "",
      status: "",
      search: "",
    });
  });

  it("are shown if all filters are equal", () => {
    const query = { outcome: "failed" };
    expect(isShown(query, { ...FLOW_DEFAULTS, outcome: "failed" }, FLOW_DEFAULTS)).toBe(true);
    expect(isShown(query, { ...FLOW_DEFAULTS, outcome: "failed", search: "x" }, FLOW_DEFAULTS)).toBe(false);
    expect(isShown({}, FLOW_DEFAULTS, FLOW_DEFAULTS)).toBe(true);
  });
});
