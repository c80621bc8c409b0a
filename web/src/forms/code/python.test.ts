import { describe, expect, it, test } from "vitest";
import type { Scope } from "../expression/scope";
import { completePython, faultOf, pythonPath } from "./python";

const SCOPE: Scope = {
  input: { total: 5, customer: { name: "Ada" }, items: [{ price: 3 }] },
  steps: [{ id: "fetch", name: "Fetch", output: { status: 200 } }],
  secrets: [],
  perItem: false,
};
const NAMES = ["input", "steps"];

function labels(text: string): string[] {
  return completePython(text, NAMES, SCOPE)?.options.map((one) => one.label) ?? [];
}

describe("completion of Python", () => {
  it("offers the names of the node and builtins, not what the sandbox lacks", () => {
    expect(labels("x = inp")).toEqual(expect.arrayContaining(["input", "steps", "sum"]));
    expect(labels("x = o")).not.toContain("open");
  });
  it("offers the keys of the last run's data in brackets and after a dot", () => {
    expect(labels('input["')).toEqual(["total", "customer", "items"]);
    expect(labels("input['customer']['")).toEqual(["name"]);
    expect(labels('input["items"][0]["p')).toEqual(["price"]);
    expect(labels('steps["')).toEqual(["fetch"]);
    expect(completePython("y = input.", NAMES, SCOPE)).toMatchObject({ from: 9 });
    expect(labels("y = input.")[0]).toBe('["total"]');
    expect(labels('input["customer"]["name"].')).toContain(".upper()");
  });
  test.each(["1.", 'unknown["', '"text', "input.total."])("offers nothing after %s", (text) => {
    expect(labels(text).filter((one) => !/^\w+$/.test(one))).toEqual([]);
  });
  it("inserts the rest of the key", () => {
    expect(completePython('input["to', NAMES, SCOPE)?.options[0]?.insert).toBe('total"]');
  });
});

it("writes a path in Python", () => {
  expect(pythonPath(["steps", "fetch", "rows", 0, "a b"])).toBe('steps["fetch"]["rows"][0]["a b"]');
});

it("finds the line of a problem", () => {
  expect(faultOf("line 3: SyntaxError: Expected `:`")).toEqual({
    line: 3,
    text: "SyntaxError: Expected `:`",
  });
  expect(faultOf("code: line 12: KeyError: 'a'")).toEqual({ line: 12, text: "KeyError: 'a'" });
  expect(faultOf("is required")).toBeUndefined();
});
