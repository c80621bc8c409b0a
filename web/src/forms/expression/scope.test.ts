import { describe, expect, it } from "vitest";
import { clearTarget, insertPicked, pathIn, pathOfText, setTarget } from "./scope";

describe("the path of an expression", () => {
  it("is read from a plain path only", () => {
    expect(pathOfText("{{ input }}")).toEqual(["input"]);
    expect(pathOfText('{{steps.get.body["a b"][0].x}}')).toEqual(["steps", "get", "body", "a b", 0, "x"]);
    for (const other of ["{{ input | list }}", "{{ a }}{{ b }}", "input", "{{ f(x) }}", undefined, 5]) {
      expect(pathOfText(other)).toBeUndefined();
    }
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
