import { describe, expect, it } from "vitest";
import {
  addressOf,
  allPaths,
  commonTags,
  FILTERS,
  isBrowsing,
  nameOf,
  parentOf,
  partialTags,
  queryOf,
  spelledAs,
  subfoldersOf,
  toggleTag,
  trailOf,
} from "./filters";

const FOLDERS = [
  { path: "Billing", flows: 1 },
  { path: "Billing/Invoices", flows: 2 },
  { path: "Billing2", flows: 4 },
  { path: "Shop/Orders/Old", flows: 8 },
];

describe("the list of flows", () => {
  it("shows one folder without its subfolders until a filter is set", () => {
    expect(queryOf(FILTERS, "Billing")).toMatchObject({ folder: "Billing", subfolders: false });
    expect(queryOf(FILTERS, "")).toMatchObject({ subfolders: false });
    for (const filters of [{ search: "x" }, { tag: "a" }, { favourite: "yes" }, { status: "archived" }]) {
      expect(queryOf({ ...FILTERS, ...filters }, "Billing")).not.toHaveProperty("subfolders");
    }
    expect(isBrowsing({ ...FILTERS, sort: "name" })).toBe(true);
  });

  it("queries all filters", () => {
    const filters = { ...FILTERS, tag: "a,b", favourite: "yes", result: "well", trigger: "webhook" };
    expect(queryOf(filters, "")).toEqual({
      brief: true,
      limit: 50,
      sort: "newest",
      status: "draft,active",
      trigger: "webhook",
      failing: false,
      tag: "a,b",
      favourite: true,
    });
  });

  it("adds a tag to the filter, and removes it", () => {
    expect(toggleTag("", "a")).toBe("a");
    expect(toggleTag("a", "b")).toBe("a,b");
    expect(toggleTag("a,b", "a")).toBe("b");
  });
});

describe("folders", () => {
  it("are paths of names", () => {
    expect([nameOf("A/B"), nameOf("A"), parentOf("A/B"), parentOf("A")]).toEqual(["B", "A", "A", ""]);
    expect(trailOf("A/B/C")).toEqual(["A", "A/B", "A/B/C"]);
    expect(trailOf("")).toEqual([]);
    expect([addressOf(""), addressOf("A/B & C")]).toEqual(["/flows", "/flows?folder=A%2FB%20%26%20C"]);
  });

  it("count the flows of their subfolders", () => {
    expect(subfoldersOf(FOLDERS, "")).toEqual([
      { path: "Billing", flows: 3 },
      { path: "Billing2", flows: 4 },
      { path: "Shop", flows: 8 },
    ]);
    expect(subfoldersOf(FOLDERS, "Billing")).toEqual([{ path: "Billing/Invoices", flows: 2 }]);
    expect(subfoldersOf(FOLDERS, "Shop/Orders/Old")).toEqual([]);
  });

  it("can be chosen even if they only contain folders", () => {
    expect(allPaths(FOLDERS)).toEqual([
      "Billing",
      "Billing/Invoices",
      "Billing2",
      "Shop",
      "Shop/Orders",
      "Shop/Orders/Old",
    ]);
  });
});

describe("the tags of several flows", () => {
  const flows = [{ tags: ["a", "b"] }, { tags: ["b", "c"] }];

  it("are those of all flows, beside those of some", () => {
    expect(commonTags(flows)).toEqual(["b"]);
    expect(partialTags(flows)).toEqual(["a", "c"]);
    expect(commonTags([])).toEqual([]);
  });

  it("are spelled as existing ones", () => {
    expect(spelledAs(["URGENT", " new ", "urgent"], ["urgent"])).toEqual(["urgent", "new"]);
    expect(spelledAs(["A", "a"], ["a", "A"])).toEqual(["A", "a"]);
  });
});
