import { describe, expect, it } from "vitest";
import { entered, filterOf, headersOf, nextSort, operatorsOf, shown } from "./cells";

describe("cells", () => {
  it("shows values by the type of their column", () => {
    expect(shown("text", null)).toBe("");
    expect(shown("boolean", false)).toBe("No");
    expect(shown("date", "2026-01-02T03:04:00.000Z")).toBe("2026-01-02 03:04");
    expect(shown("date", "2026-01-02T03:04:05.000Z")).toBe("2026-01-02 03:04:05");
    expect(shown("json", { a: [1] })).toBe('{"a":[1]}');
    expect(shown("number", 1.5)).toBe("1.5");
  });

  it("sends an empty text of a text column, and null otherwise", () => {
    expect(entered("text", "")).toBe("");
    expect(entered("number", "")).toBeNull();
    expect(entered("date", "2026-01-02 03:04")).toBe("2026-01-02T03:04");
    expect(entered("number", "12")).toBe("12");
  });

  it("orders up, down and not", () => {
    expect(["", "total", "-total"].map((sort) => nextSort(sort, "total"))).toEqual(["total", "-total", ""]);
    expect(nextSort("-other", "total")).toBe("total");
  });

  it("leaves out conditions without a value", () => {
    expect(filterOf([{ column: "a", operator: "eq", value: "" }])).toBeUndefined();
    const empty = { column: "a", operator: "empty", value: "" };
    expect(JSON.parse(filterOf([empty, { ...empty, operator: "gt" }]) ?? "")).toEqual([empty]);
  });

  it("offers operators that the server takes for the type", () => {
    expect(operatorsOf("number").map(({ value }) => value)).not.toContain("contains");
    expect(operatorsOf("json").map(({ value }) => value)).not.toContain("gt");
  });

  it("reads the headers of a CSV file", () => {
    expect(headersOf('\ufeffE-mail,"Last, first","a ""b"""\r\n1,2,3')).toEqual(["E-mail", "Last, first", 'a "b"']);
    expect(headersOf("a;b;c\n1;2;3")).toEqual(["a", "b", "c"]);
    expect(headersOf("one")).toEqual(["one"]);
  });
});
