import { expect, it, test } from "vitest";
import { type Documented, FUNCTIONS, findFunctions, insertionOfFunction, placeOf } from "./functions";

function named(signature: string): Documented {
  return FUNCTIONS.find((one) => one.signature === signature) as Documented;
}

it("documents each function", () => {
  expect(FUNCTIONS.length).toBeGreaterThan(100);
  expect(FUNCTIONS.filter((one) => one.does === "" || one.example === "")).toEqual([]);
});

it("finds functions by name first, then by their description", () => {
  expect(findFunctions("upper")[0]?.name).toBe("upper");
  expect(findFunctions("time zone").map((one) => one.name)).toEqual(["astimezone"]);
  expect(findFunctions("no such thing")).toEqual([]);
});

test.each([
  ["{{ input.a }}", 10, "|upper", "|upper", 6],
  ["{{ input.a }}", 10, "|round(precision, method)", "|round()", 7],
  ["{{ input.a }}", 10, ".startswith(affix)", ".startswith()", 12],
  ["{{ input.a }}", 10, "is even", " is even", 8],
  ["", 0, "|upper", "{{ input|upper }}", 14],
  ["a ", 2, "datetime(value)", "{{ datetime() }}", 12],
])("inserts into %j at %i: %s", (text, at, signature, insert, cursor) => {
  expect(insertionOfFunction(text, at, named(signature))).toEqual({ insert, cursor });
});

test.each([
  ["a {{ 1 + }}", "expected an expression (line 1, column 10)", 9, 10],
  ["x\n{{ )", "unexpected ')' (line 2, column 4)", 5, 6],
  ["{{ input.a }} {{ input.nothing }}", "input has no key 'nothing'; there is a", 23, 30],
  ["{{ nope }}", "'nope' is not defined", 3, 7],
  ["a {{ 1 / 0 }}", "division by zero", 2, 13],
])("places an error in %j: %s", (text, message, from, to) => {
  expect(placeOf(text, message)).toEqual({ from, to });
});
