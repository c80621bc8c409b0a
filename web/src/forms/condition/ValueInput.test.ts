// @vitest-environment jsdom
import { expect, it } from "vitest";
import { newRule, type Rule } from "./model";
import { withChosenField, withField } from "./ValueInput";

it.each([withField, withChosenField])("begins a new row with the type of its field", (set) => {
  const number = set(newRule(), "input.total", "number");
  expect(number).toEqual({ field: "input.total", op: "eq", as: "number", value: { literal: 0 } });
  const flag = set(number, "input.paid", "boolean");
  expect(flag).toEqual({ field: "input.paid", op: "true", as: "boolean" });
  const list = set(flag, "input.items", "list");
  expect(list).toEqual({ field: "input.items", op: "contains", as: "list", value: { literal: "" } });
  expect(set(list, "input.other", undefined)).toEqual(newRule("input.other"));
});

it.each([withField, withChosenField])("keeps an operator that the user chose", (set) => {
  const chosen: Rule = { field: "", op: "starts", as: "text", isChosen: true, value: { literal: "" } };
  expect(set(chosen, "input.total", "number")).toEqual({ ...chosen, field: "input.total" });
});

it("keeps the value of a row while its field is typed", () => {
  const rule: Rule = { field: "input.a", op: "eq", value: { literal: "x" } };
  expect(withField(rule, "input.total", "number")).toEqual({ ...rule, field: "input.total" });
});

it("converts the value of a row when a field of another type is chosen", () => {
  const rule: Rule = { field: "input.a", op: "eq", value: { literal: "5" } };
  expect(withChosenField(rule, "input.total", "number")).toEqual({
    field: "input.total",
    op: "eq",
    as: "number",
    value: { literal: 5 },
  });
  const starts: Rule = { field: "input.a", op: "starts", value: { literal: "x" } };
  expect(withChosenField(starts, "input.paid", "boolean")).toEqual({
    field: "input.paid",
    op: "true",
    as: "boolean",
  });
});
