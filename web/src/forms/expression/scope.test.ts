import { describe, expect, it } from "vitest";
import { clearTarget, insertPicked, itemsOf, type Path, pathIn, pathOfText, scopeOf, setTarget } from "./scope";

describe("the path of an expression", () => {
  it("is read from a plain path only", () => {
    expect(pathOfText("{{ input }}")).toEqual(["input"]);
    expect(pathOfText('{{steps.get.body["a b"][0].x}}')).toEqual(["steps", "get", "body", "a b", 0, "x"]);
    for (const other of ["{{ input | list }}", "{{ a }}{{ b }}", "input", "{{ f(x) }}", undefined, 5]) {
      expect(pathOfText(other)).toBeUndefined();
    }
  });
});

describe("the items of a list", () => {
  const scope = { steps: [{ id: "get", name: "Get", output: [{ a: 2 }] }], secrets: [], perItem: false };
  it("are those of a path, or written ones; of other expressions unknown", () => {
    const known = { ...scope, input: { body: [{ a: 1 }] } };
    expect(itemsOf(known, "{{ input.body }}")).toEqual({ list: ["input", "body"], item: { a: 1 } });
    expect(itemsOf(known, "{{ steps.get }}")).toEqual({ list: ["steps", "get"], item: { a: 2 } });
    expect(itemsOf(known, [7, 8])).toEqual({ list: undefined, item: 7 });
    expect(itemsOf(known, "{{ input.body | sort }}")).toEqual({ list: undefined, item: undefined });
  });
  it("of a setting of its own precede those of the node's loop", () => {
    const looped = { ...scope, perItem: true, item: 1, each: { item: 2, list: ["item", "lines"] } };
    expect(scopeOf(looped, false).item).toBe(1);
    expect(scopeOf(looped, true)).toMatchObject({ item: 2, list: ["item", "lines"], perItem: true });
  });
});

describe("a picked field", () => {
  it("is a field of the item within a loop over its list", () => {
    const scope = { perItem: true, list: ["input", "rows"] };
    expect(pathIn(scope, ["input", "rows", 3, "name"])).toEqual(["item", "name"]);
    expect(pathIn(scope, ["input", "rows", 3])).toEqual(["item"]);
    expect(pathIn(scope, ["input", "rows"])).toEqual(["input", "rows"]);
    expect(pathIn(scope, ["input", "other", 0])).toEqual(["input", "other", 0]);
    expect(pathIn({ perItem: false, list: ["input"] }, ["input", 0, "a"])).toEqual(["input", 0, "a"]);
  });
  it("of the only node before is a field of the input, and the other way around", () => {
    const scope = { perItem: true, only: "get" };
    expect(pathIn({ ...scope, list: ["input", "rows"] }, ["steps", "get", "rows", 0, "a"])).toEqual(["item", "a"]);
    expect(pathIn({ ...scope, list: ["steps", "get", "rows"] }, ["input", "rows", 0, "a"])).toEqual(["item", "a"]);
    const other: Path = ["steps", "old", "rows", 0];
    expect(pathIn({ ...scope, list: ["input", "rows"] }, other)).toEqual(other);
  });
  it("goes into the setting that had the focus last, until its form disappears", () => {
    const got: unknown[] = [];
    const insert = (path: unknown) => got.push(path);
    expect(insertPicked(["input"])).toBe(false);
    setTarget(insert);
    expect(insertPicked(["input", "a"])).toBe(true);
    clearTarget(insert);
    expect(insertPicked(["input", "b"])).toBe(false);
    expect(got).toEqual([["input", "a"]]);
  });
});
