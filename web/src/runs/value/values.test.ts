import { describe, expect, it } from "vitest";
import { fieldsOf, keyOf, shapeOf } from "./fields";
import { briefText, sizeText } from "./kinds";
import { cellOf, listsIn, MAX_COLUMNS, rowsWith, tableOf, valueIn, without } from "./table";

const PEOPLE = [
  { name: "Ada", age: 36, tags: ["a", "b"] },
  { name: "Bo", age: null, home: { city: "Oslo" } },
];

describe("a value in brief", () => {
  it("shows nested values on one line", () => {
    expect(briefText(PEOPLE[0])).toBe("name: Ada, age: 36, tags: a, b");
    expect(briefText(PEOPLE)).toBe("2 items");
    expect(briefText({ a: { b: { c: 1 } } })).toBe("a: b: 1 field");
    expect(briefText("two\n lines")).toBe("two lines");
    expect(briefText("x".repeat(500), 10)).toBe("xxxxxxxxx…");
  });
  it("counts items and fields", () => {
    expect(sizeText(PEOPLE)).toBe("2 items");
    expect(sizeText([1])).toBe("1 item");
    expect(sizeText({ a: 1 })).toBe("1 field");
    expect(sizeText(5)).toBeUndefined();
  });
});

describe("a table", () => {
  it("has the keys of all items as columns", () => {
    const { columns, rows } = tableOf(PEOPLE);
    expect(columns).toEqual(["name", "age", "tags", "home"]);
    expect(cellOf(rows[0], "home")).toBeUndefined();
    expect(cellOf(rows[1], "home")).toEqual({ city: "Oslo" });
  });
  it("has a column for items that are not objects", () => {
    expect(tableOf([1, { a: 2 }]).columns).toEqual([null, "a"]);
    expect(tableOf([]).columns).toEqual([null]);
    expect(tableOf({ a: 1 })).toMatchObject({ columns: ["a"], rows: [{ a: 1 }] });
  });
  it("limits its columns, and says how many are missing", () => {
    const wide = Object.fromEntries(Array.from({ length: MAX_COLUMNS + 5 }, (_, at) => [`k${at}`, at]));
    expect(tableOf([wide])).toMatchObject({ more: 5 });
  });
  it("finds rows by a text at any depth", () => {
    expect(rowsWith(PEOPLE, "oslo")).toEqual([1]);
    expect(rowsWith(PEOPLE, "")).toBeNull();
  });
  it("finds the lists of objects within an object", () => {
    const answer = { status: 200, body: { items: PEOPLE, tags: ["a"] } };
    expect(listsIn(answer)).toEqual([{ path: ["body", "items"], items: 2 }]);
    expect(valueIn(answer, ["body", "items", 1, "name"])).toBe("Bo");
    expect(valueIn(answer, ["body", "toString"])).toBeUndefined();
    expect(without(answer, ["body", "items"])).toEqual({ status: 200, body: { tags: ["a"] } });
    expect(without({ items: PEOPLE, total: 2 }, ["items"])).toEqual({ total: 2 });
    expect(without({ body: { items: PEOPLE } }, ["body", "items"])).toEqual({});
  });
});

describe("the fields of a value", () => {
  it("merges the items of a list, and points into the first item that has the field", () => {
    const rows = fieldsOf(shapeOf({ items: PEOPLE }), new Set());
    expect(rows.map((row) => [row.depth, row.label, row.types, row.example])).toEqual([
      [0, "items", "list of object (2)", "2 items"],
      [1, "name", "text", "Ada"],
      [1, "age", "number or null", "36"],
      [1, "tags", "list of text (2)", "a, b"],
      [1, "home", "object", "city: Oslo"],
      [2, "city", "text", "Oslo"],
    ]);
    expect(rows[1]?.path).toEqual(["items", 0, "name"]);
    expect(rows[5]?.path).toEqual(["items", 1, "home", "city"]);
    expect(rows.map((row) => row.isPartial)).toEqual([false, false, false, true, true, false]);
  });
  it("hides the fields within a closed one", () => {
    const closed = new Set([keyOf(["items"])]);
    expect(fieldsOf(shapeOf({ items: PEOPLE }), closed).map((row) => row.label)).toEqual(["items"]);
  });
  it("finds fields by name or example, with those around them", () => {
    const rows = fieldsOf(shapeOf({ items: PEOPLE, other: 1 }), new Set(), "CITY");
    expect(rows.map((row) => row.label)).toEqual(["items", "home", "city"]);
  });
  it("stops reading a huge value in time", () => {
    const huge = Array.from({ length: 300_000 }, (_, at) => ({ at }));
    expect(fieldsOf(shapeOf(huge), new Set()).map((row) => row.label)).toEqual(["at"]);
  });
});
