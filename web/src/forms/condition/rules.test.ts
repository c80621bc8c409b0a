/** Rules of a switch: form -> expression -> form. */
import { describe, expect, it, test } from "vitest";
import type { Group, Rule } from "./model";
import { type CaseRule, MAX_RULES, readRules } from "./rules";
import { writeRules } from "./write";

const only = (rule: Rule): Group => ({ all: true, rules: [rule] });
const least = (value: number): Group => only({ field: "input.total", op: "ge", value: { literal: value } });

describe("reading what people write", () => {
  test.each<[string | undefined, CaseRule[]]>([
    [undefined, []],
    ["", []],
    ["{{'gold' if input.total>=1000 else 'default'}}", [{ name: "gold", condition: least(1000) }]],
    [
      '{{ "gold" if (input.total >= 1000) else\n  "silver" if 100 <= input.total else "default" }}',
      [
        { name: "gold", condition: least(1000) },
        { name: "silver", condition: least(100) },
      ],
    ],
    [
      '{{ "a" if (1 if input.b else 2) == 2 else "default" }}',
      [
        {
          name: "a",
          condition: only({ field: "1 if input.b else 2", op: "eq", value: { literal: 2 } }),
        },
      ],
    ],
  ])("%s", (text, rules) => {
    expect(readRules(text)).toEqual(rules);
  });

  test.each([
    "{{ input.status }}",
    "gold",
    '{{ "default" }}',
    '{{ "gold" if input.a }}',
    '{{ "gold" if input.a else }}',
    '{{ "gold" if else "default" }}',
    '{{ if input.a else "default" }}',
    '{{ "" if input.a else "default" }}',
    // None is the text null, which may be a case.
    '{{ "gold" if input.a else none }}',
    '{{ "gold" if input.a else "silver" }}',
    '{{ "gold" if input.a else input.b }}',
    '{{ input.b if input.a else "default" }}',
    '{{ 1 if input.a else "default" }}',
    '{{ "gold" "er" if input.a else "default" }}',
    '{{ "gold" if input.a if input.b else "default" }}',
    '{{ "gold" if input.n is divisibleby 3 else "default" }}',
    '{{ "gold" if input.else else "default" }}',
    '{{ "gold" if input.a == "if else "default" }}',
    '{{ "gold" if input.a else ("silver" if input.b else "default") }}',
    '{{ ("gold" if input.a else "default") }}',
    '{{ "gold" if input.a else "default" }} {{ 1 }}',
    '{{- "gold" if input.a else "default" }}',
    '{{ "gold" if input.a else "default" | upper }}',
    '{{ "gold\\q" if input.a else "default" }}',
    `{{ ${'"a" if input.a else '.repeat(MAX_RULES + 1)}"default" }}`,
    5,
    null,
  ])("leaves %s to the expression editor", (text) => {
    expect(readRules(text)).toBeNull();
  });
});

it("writes no incomplete rule", () => {
  const empty: Group = { all: true, rules: [{ field: "", op: "truthy" }] };
  const incomplete = [
    { name: "", condition: least(1) },
    { name: "gold", condition: empty },
  ];
  expect(writeRules(incomplete)).toBe("");
  expect(writeRules([...incomplete, { name: "silver", condition: least(100) }])).toBe(
    '{{ "silver" if input.total >= 100 else "default" }}',
  );
});
