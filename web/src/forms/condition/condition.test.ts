/**
 * Conditions, and rules of a switch made of them: form -> expression -> form.
 * tests/test_web.py evaluates the expressions, which are written to build/conditions.json for it.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { describe, expect, it, test } from "vitest";
import type { Json } from "@/definition/types";
import {
  type CaseRule,
  type Group,
  isGroup,
  MAX_RULES,
  type Op,
  type Rule,
  readRules,
  TYPES,
  typeOfRule,
  type Value,
} from "./model";
import { read } from "./read";
import { write, writeRules } from "./write";

const BUILD = new URL("../../../../build/", import.meta.url);

/** Numbers from a seed, so that the cases are the same each time. */
function random(seed: number): (most: number) => number {
  let state = seed;
  return (most) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * most);
  };
}

const FIELDS: Record<string, string[]> = {
  text: ["input.text", 'input["a key"]', "input.missing", "input.null", "input.text ~ input.text", "input.tags[0]"],
  number: ["input.n", "input.n + 1", "-input.n", "input.text|length + 1", "input.missing|default(3)", "input.null"],
  boolean: ["input.yes", "input.no", "input.null", "input.missing"],
  date: ["input.at", "input.at_text", "now"],
  list: ["input.tags", "input.numbers", "input.empty", "input.null", "(input.null or input.tags)|list"],
  object: ["input.object", "input", "input.object.inner"],
  any: ["input.text", "input.n", "input.null", "input.missing", "input.tags", "input.object", "input.missing.deep"],
};
const VALUES: Record<string, Json[]> = {
  text: ["", "a", "Ab", "q\"uo'te", "}} {{ or", "line\nbreak", "é😀", "false"],
  number: [0, 1, -2, 2.5, 100],
  date: ["2026-01-01", "2026-06-01T10:00:00Z"],
  list: ["a", 1],
  object: ["inner", "none"],
  any: ["a", 1, null],
};
const OTHERS: Record<string, string[]> = {
  text: ["input.text", "vars.word", "vars.word|lower"],
  number: ["vars.n", "vars.n * 2"],
  date: ["now", "input.at"],
  list: ["input.text", "vars.n"],
  object: ["vars.word"],
  any: ["vars.n", "vars.word", "input.text or vars.word"],
};

function makeRule(pick: (most: number) => number): Rule {
  const one = <T>(from: readonly T[]): T => from[pick(from.length)] as T;
  const { type, operators } = one(TYPES);
  const { op, takes } = one(operators);
  const field = one(FIELDS[type] ?? []);
  if (takes === "none") return { field, op };
  if (takes === "list") {
    const values = VALUES[type] ?? [];
    return { field, op, value: { literal: values.slice(0, pick(values.length + 1)) } };
  }
  if (takes === "count") return { field, op, value: { literal: 1 + pick(3) } };
  const value: Value = pick(3) === 0 ? { expression: one(OTHERS[type] ?? []) } : { literal: one(VALUES[type] ?? []) };
  return { field, op, value };
}

function makeGroup(pick: (most: number) => number, depth: number): Group {
  const count = (depth === 0 ? 1 : 2) + pick(2);
  const rules = Array.from({ length: count }, () =>
    depth < 2 && pick(3) === 0 ? makeGroup(pick, depth + 1) : makeRule(pick),
  );
  return { all: pick(2) === 0, rules };
}

/** The form as it is read: groups of the same kind stay, a single rule is in a group of "all". */
function normal(group: Group): Group {
  const [only] = group.rules;
  if (group.rules.length === 1 && only !== undefined) {
    return isGroup(only) ? normal(only) : { all: true, rules: group.rules };
  }
  return { all: group.all, rules: group.rules.map((one) => (isGroup(one) ? normal(one) : one)) };
}

function makeCases(): { form: Group; expression: string }[] {
  const pick = random(7);
  const single = TYPES.flatMap(({ type, operators }) =>
    operators.flatMap(({ op, takes }) =>
      (FIELDS[type] ?? []).map((field): Rule => {
        if (takes === "none") return { field, op };
        const values = VALUES[type] ?? [];
        if (takes === "list") return { field, op, value: { literal: values } };
        if (takes === "count") return { field, op, value: { literal: 2 } };
        return { field, op, value: { literal: values[pick(values.length)] as Json } };
      }),
    ),
  );
  const forms = [
    ...single.map((rule): Group => ({ all: true, rules: [rule] })),
    ...Array.from({ length: 200 }, () => makeGroup(pick, 0)),
  ];
  return forms.map((form) => ({ form, expression: write(form) }));
}

const NAMES = ["gold", 'a "quoted" name', "2", "null", "é😀 if else", "default", "}} {{"];

/** Rules made of conditions. */
function makeSwitches(conditions: Group[]): CaseRule[][] {
  return Array.from({ length: 40 }, (_, at) =>
    Array.from({ length: 1 + (at % 3) }, (_unused, place) => ({
      condition: conditions[(at * 37 + place * 211) % conditions.length] as Group,
      name: NAMES[(at + place) % NAMES.length] as string,
    })),
  );
}

describe("a form becomes an expression and the same form again", () => {
  it("for random forms", () => {
    const pick = random(42);
    for (let times = 0; times < 500; times += 1) {
      const form = makeGroup(pick, 0);
      expect(read(write(form)), write(form)).toEqual(normal(form));
    }
  });

  it("for the cases that the server evaluates", () => {
    const conditions = makeCases();
    for (const { form, expression } of conditions) expect(read(expression), expression).toEqual(normal(form));
    const groups = conditions.map(({ form }) => normal(form));
    const switches = makeSwitches(groups).map((rules) => ({ rules, expression: writeRules(rules) }));
    for (const { rules, expression } of switches) expect(readRules(expression), expression).toEqual(rules);
    mkdirSync(BUILD, { recursive: true });
    writeFileSync(new URL("conditions.json", BUILD), JSON.stringify({ conditions, switches }));
  });
});

const rule = (field: string, op: Op, value?: Value): Rule =>
  value === undefined ? { field, op } : { field, op, value };
const only = (one: Rule): Group => ({ all: true, rules: [one] });

describe("reading what people write", () => {
  test.each([
    ["{{ input.total > 100 }}", only(rule("input.total", "gt", { literal: 100 }))],
    ["{{input.name=='Ada'}}", only(rule("input.name", "eq", { literal: "Ada" }))],
    ["{{ 100 < input.total }}", only(rule("input.total", "gt", { literal: 100 }))],
    ["{{ input }}", only(rule("input", "truthy"))],
    ["{{ not input.data.valid }}", only(rule("input.data.valid", "falsy"))],
    [
      "{{ item.id not in (steps.seen or []) }}",
      only(rule("steps.seen or []", "not_contains", { expression: "item.id" })),
    ],
    ["{{ input.a is not undefined }}", only(rule("input.a", "exists"))],
    [
      "{{ (input | length) < (vars.feeds | length) }}",
      only(rule("input", "len_lt", { expression: "vars.feeds | length" })),
    ],
    ["{{ input.total - vars.x >= -1 }}", only(rule("input.total - vars.x", "ge", { literal: -1 }))],
    [
      "{{ input.a and input.b > 1 or input.c }}",
      {
        all: false,
        rules: [
          { all: true, rules: [rule("input.a", "truthy"), rule("input.b", "gt", { literal: 1 })] },
          rule("input.c", "truthy"),
        ],
      },
    ],
    [undefined, { all: true, rules: [] }],
  ] as const)("%s", (text, form) => {
    expect(read(text)).toEqual(form);
  });

  test.each([
    "total > 100",
    "{{ input.a }} {{ input.b }}",
    "{{ 1 < input.total < 5 }}",
    "{{ true if input.a else false }}",
    "{{ not (input.a or input.b) }}",
    "{{ input.n is divisibleby 3 }}",
    "{{ input.a > }}",
    "{{ input.a == }} }}",
    "{{ ((input.a and (input.b or (input.c and (input.d or input.e)))) or input.f) and input.g }}",
    "{{ 1 == 1 }}",
    "{{ input.a = 1 }}",
    "{{ input.a > 1, 2 }}",
    "{{ input.a + input.b is defined }}",
    "{{- input.a }}",
    5,
  ])("leaves %s to the expression editor", (text) => {
    expect(read(text)).toBeNull();
  });
});

it("writes no incomplete row", () => {
  const incomplete = [rule("", "eq", { literal: "a" }), rule("input.", "truthy"), rule("input.(", "truthy")];
  expect(write({ all: true, rules: incomplete })).toBe("");
  expect(write({ all: true, rules: [...incomplete, rule("input.a", "truthy")] })).toBe("{{ input.a }}");
  expect(write({ all: true, rules: [rule("input.a", "eq", { expression: "" })] })).toBe("");
});

it("shows a rule under the type of its data, else of its operator or value", () => {
  expect(typeOfRule(rule("input.a", "contains", { literal: "x" }), "list")).toBe("list");
  expect(typeOfRule(rule("input.a", "contains", { literal: "x" }), undefined)).toBe("text");
  expect(typeOfRule(rule("input.a", "eq", { literal: 5 }), undefined)).toBe("number");
  expect(typeOfRule(rule("input.a", "gt", { expression: "vars.n" }), undefined)).toBe("number");
  expect(typeOfRule(rule("input.a", "eq", { literal: null }), "text")).toBe("any");
  expect(typeOfRule({ ...rule("input.a", "exists"), as: "date" }, "text")).toBe("date");
});

// Rules of a switch: form -> expression -> form.

const single = (rule: Rule): Group => ({ all: true, rules: [rule] });
const least = (value: number): Group => single({ field: "input.total", op: "ge", value: { literal: value } });

describe("reading rules that people write", () => {
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
          condition: single({ field: "1 if input.b else 2", op: "eq", value: { literal: 2 } }),
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
