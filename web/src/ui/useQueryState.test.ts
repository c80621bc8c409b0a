import { describe, expect, it } from "vitest";
import { readQuery, writeQuery } from "./useQueryState";

const DEFAULTS = { status: "", sort: "newest" };

describe("filters in the address", () => {
  it("are the defaults if the address names none", () => {
    expect(readQuery("?sort=name&page=3", DEFAULTS)).toEqual({ status: "", sort: "name" });
  });

  it("omit defaults and keep other parameters", () => {
    expect(writeQuery("?page=3&sort=name&status=active", DEFAULTS, { sort: "newest" })).toBe(
      "page=3&status=active",
    );
  });

  it("survive characters that must be escaped in an address", () => {
    const query = writeQuery("", { search: "" }, { search: "a&b=ü" });
    expect(readQuery(query, { search: "" })).toEqual({ search: "a&b=ü" });
  });
});
