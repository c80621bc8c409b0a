/** Rules of a switch: form -> expression -> form. `rules.jsonl` is evaluated by tests/test_web_conditions.py. */
import { readFileSync } from "node:fs";
import { describe, expect, it, test } from "vitest";
import type { Group, Rule } from "./model";
import { read } from "./read";
import { type CaseRule, MAX_RULES, readRules } from "./rules";
import { writeRules } from "./write";

const only = (rule: Rule): Group => ({ all: true, rules: [rule] });
const least = (value: number): Group => only({ field: "input.total", op: "ge", value: { literal: value } });

const NAMES = ["gold", 'a "quoted" name', "2", "null", "é😀 if else", "default", "}} {{"];

/** Rules made of the conditions that condition.test.ts writes. */
function makeSwitches(): CaseRule[][] {
  const lines = readFileSync(new URL("./cases.jsonl", import.meta.url), "utf8")
    .trim()
    .split("\n");
  const conditions = lines.map((line) => read((JSON.parse(line) as { expression: string }).expression));
  return Array.from({ length: 40 }, (_, at) =>
    Array.from({ length: 1 + (at % 3) }, (_unused, place) => ({
      condition: conditions[(at * 37 + place * 211) % conditions.length] as Group,
      name: NAMES[(at + place) % NAMES.length] as string,
    })),
  );
}

it("reads each form again from its expression, which the server evaluates", async () => {
  const cases = makeSwitches().map((rules) => ({ rules, expression: writeRules(rules) }));
  for (const { rules, expression } of cases) expect(readRules(expression), expression).toEqual(rules);
  const lines = cases.map((one) => JSON.stringify(one));
  await expect(`${lines.join("\n")}\n`).toMatchFileSnapshot("./rules.jsonl");
});

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
