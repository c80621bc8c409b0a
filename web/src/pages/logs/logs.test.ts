// @vitest-environment jsdom
import { describe, expect, it } from "vitest";
import { cutOf, type Entry, withNew } from "./logs";

function entry(id: string): Entry {
  return {
    id,
    run_id: null,
    node_id: null,
    level: "info",
    message: id,
    data: null,
    created_at: "2026-11-25T10:00:00Z",
    workflow_id: null,
    workflow_name: null,
  };
}

describe("new entries", () => {
  it("come before the present ones, without duplicates", () => {
    const before = [entry("b"), entry("a")];
    expect(withNew(before, [entry("d"), entry("c"), entry("b")]).map((one) => one.id)).toEqual(["d", "c", "b", "a"]);
  });

  it("leave the list unchanged if there are none", () => {
    const before = [entry("a")];
    expect(withNew(before, [entry("a")])).toBe(before);
  });
});

describe("the data of an entry", () => {
  it("is recognized as truncated", () => {
    expect(cutOf({ $cut: { bytes: 9_000, start: "[1" } })).toEqual({ bytes: 9_000, start: "[1" });
    expect(cutOf({ cut: 1 })).toBeNull();
    expect(cutOf(null)).toBeNull();
  });
});
