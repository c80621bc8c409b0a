import { describe, expect, it } from "vitest";
import { readQuery, writeQuery } from "./useQueryState";

const DEFAULTS = { status: "", sort: "newest" };

describe("filters in the address", () => {
  it("are the defaults where the address says nothing", () => {
    expect(readQuery("?sort=name&page=3", DEFAULTS)).toEqual({ status: "", sort: "name" });
  });

  it("leave defaults out and keep what others put there", () => {
    expect(writeQuery("?page=3&sort=name&status=active", DEFAULTS, { sort: "newest" })).toBe(
      "page=3&status=active",
    );
  });

  it("survive letters that an address must escape", () => {
    const query = writeQuery("", { search: "" }, { search: "a&b=ü" });
    expect(readQuery(query, { search: "" })).toEqual({ search: "a&b=ü" });
  });
});
