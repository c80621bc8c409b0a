/** Conditions as rows of a form: a field, an operator and a value, in groups of "all" and "any". */
import type { Json } from "@/definition/types";
import { groupIn, insideOf, split, type Token, textLiteral, tokensIn } from "./read";

export type Type = "any" | "text" | "number" | "boolean" | "date" | "list" | "object";

/** A plain value, or the text of an expression without its braces. */
export type Value = { literal: Json } | { expression: string };

export interface Rule {
  /** An expression without braces, mostly a path: `input.total`. */
  field: string;
  op: Op;
  /** Absent for operators without a value. */
  value?: Value;
  /** The type under which the user chose the operator; not stored. */
  as?: Type;
  /** True if the user chose the operator; not stored. */
  isChosen?: boolean;
}

export interface Group {
  /** True if all rules must be met, false if any of them is enough. */
  all: boolean;
  rules: (Rule | Group)[];
}

export function isGroup(part: Rule | Group): part is Group {
  return "rules" in part;
}

/** Groups within the outermost one. Deeper conditions are edited as an expression. */
export const DEEPEST = 2;

export type Op =
  | "exists"
  | "missing"
  | "has_value"
  | "no_value"
  | "null"
  | "not_null"
  | "truthy"
  | "falsy"
  | "eq"
  | "ne"
  | "gt"
  | "ge"
  | "lt"
  | "le"
  | "contains"
  | "not_contains"
  | "eq_i"
  | "contains_i"
  | "starts"
  | "not_starts"
  | "ends"
  | "not_ends"
  | "one_of"
  | "not_one_of"
  | "true"
  | "false"
  | "before"
  | "after"
  | "older"
  | "newer"
  | "len_eq"
  | "len_gt"
  | "len_lt"
  | "empty"
  | "not_empty";

/** The input of an operator's value; a number of items or days is a `count`. */
export type Takes = "none" | "same" | "text" | "count" | "list" | "item";

interface Operator {
  op: Op;
  label: string;
  takes: Takes;
}

const row = (op: Op, label: string, takes: Takes = "same"): Operator => ({ op, label, takes });
const EXISTS = [row("exists", "exists", "none"), row("missing", "does not exist", "none")];
const EMPTY = [row("empty", "is empty", "none"), row("not_empty", "is not empty", "none")];
const LENGTHS = (than: string, of: string) => [
  row("len_gt", `${than} more than${of}`, "count"),
  row("len_lt", `${than} fewer than${of}`, "count"),
  row("len_eq", `${than} exactly${of}`, "count"),
];

export const TYPES: { type: Type; label: string; operators: Operator[] }[] = [
  {
    type: "text",
    label: "Text",
    operators: [
      row("eq", "equals"),
      row("ne", "does not equal"),
      row("contains", "contains"),
      row("not_contains", "does not contain"),
      row("starts", "starts with"),
      row("not_starts", "does not start with"),
      row("ends", "ends with"),
      row("not_ends", "does not end with"),
      row("eq_i", "equals, ignoring case"),
      row("contains_i", "contains, ignoring case"),
      row("one_of", "is one of", "list"),
      row("not_one_of", "is not one of", "list"),
      ...EMPTY,
      ...LENGTHS("has", " … characters"),
      ...EXISTS,
    ],
  },
  {
    type: "number",
    label: "Number",
    operators: [
      row("eq", "equals"),
      row("ne", "does not equal"),
      row("gt", "is greater than"),
      row("ge", "is at least"),
      row("lt", "is less than"),
      row("le", "is at most"),
      row("one_of", "is one of", "list"),
      row("not_one_of", "is not one of", "list"),
      ...EXISTS,
    ],
  },
  {
    type: "boolean",
    label: "Boolean",
    operators: [row("true", "is true", "none"), row("false", "is false", "none"), ...EXISTS],
  },
  {
    type: "date",
    label: "Date and time",
    operators: [
      row("before", "is before"),
      row("after", "is after"),
      row("older", "is older than … days", "count"),
      row("newer", "is newer than … days", "count"),
      ...EXISTS,
    ],
  },
  {
    type: "list",
    label: "List",
    operators: [
      row("contains", "contains", "item"),
      row("not_contains", "does not contain", "item"),
      ...EMPTY,
      ...LENGTHS("has", " … items"),
      ...EXISTS,
    ],
  },
  {
    type: "object",
    label: "Object",
    operators: [
      row("contains", "has the key", "text"),
      row("not_contains", "does not have the key", "text"),
      ...EMPTY,
      ...EXISTS,
    ],
  },
  {
    type: "any",
    label: "Any type",
    operators: [
      row("has_value", "has a value", "none"),
      row("no_value", "has no value", "none"),
      row("truthy", "is not empty, zero or false", "none"),
      row("falsy", "is empty, zero or false", "none"),
      row("null", "is null", "none"),
      row("not_null", "is not null", "none"),
      row("eq", "equals", "item"),
      row("ne", "does not equal", "item"),
      ...EXISTS,
    ],
  },
];

function operatorsOf(type: Type): Operator[] {
  return TYPES.find((one) => one.type === type)?.operators ?? [];
}

export function operatorOf(type: Type, op: Op): Operator | undefined {
  return operatorsOf(type).find((one) => one.op === op);
}

const DATE = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$/;

/** Return the type of a value in the last run; undefined if it is unknown. */
export function typeOfValue(value: Json | undefined): Type | undefined {
  if (value === undefined || value === null) return undefined;
  if (Array.isArray(value)) return "list";
  if (typeof value === "string") return DATE.test(value) ? "date" : "text";
  return typeof value as "number" | "boolean" | "object";
}

/** Return the type under which the form shows a rule; `known` is that of the field in the last run. */
export function typeOfRule({ op, value, as }: Rule, known: Type | undefined): Type {
  if (as !== undefined && operatorOf(as, op) !== undefined) return as;
  const literal = value !== undefined && "literal" in value ? value.literal : undefined;
  const first = Array.isArray(literal) ? literal[0] : literal;
  const given = typeof first === "number" ? "number" : typeof first === "string" ? "text" : undefined;
  const wanted: (Type | undefined)[] =
    op === "eq" || op === "ne" || op === "one_of" || op === "not_one_of"
      ? literal === null || typeof literal === "boolean"
        ? ["any"]
        : [given, known === "date" ? "text" : known]
      : [known, known === "date" ? "text" : undefined];
  const order = [...wanted, ...TYPES.map(({ type }) => type)];
  return order.find((type) => type !== undefined && operatorOf(type, op) !== undefined) ?? "any";
}

/** Return a row to fill in, or one with the field already. */
export function newRule(field = "", type: Type = "text"): Rule {
  const { op, takes } = operatorsOf(type)[0] as Operator;
  return { field, op, ...(takes === "none" ? {} : { value: { literal: type === "number" ? 0 : "" } }) };
}

// Rules of a switch: the first whose condition is met decides the case. They are one expression, a chain of
// `"case" if condition else …`, which `write.ts` writes.

/** The branch if no condition is met. No case may have this name, so the text always leads there. */
export const OTHERWISE = "default";
/** Each rule is a level of the expression, whose depth the server limits to 100. */
export const MAX_RULES = 50;

export interface CaseRule {
  condition: Group;
  /** The case, or the default branch; empty until it is chosen. */
  name: string;
}

/** Read `"case" if condition`. */
function ruleIn(source: string, tokens: readonly Token[]): CaseRule | null {
  const [first, word, ...rest] = tokens;
  if (first?.kind !== "string" || word?.text !== "if" || split(rest, "if").length > 1) return null;
  const name = textLiteral(first.text);
  const condition = groupIn(source, rest);
  return name === undefined || name === "" || condition === null ? null : { condition, name };
}

/** Read rules from a setting: empty, or exactly one expression; null if the form cannot show it. */
export function readRules(value: Json | undefined): CaseRule[] | null {
  if (value === undefined || value === "") return [];
  const source = insideOf(value);
  const tokens = source === undefined ? null : tokensIn(source);
  if (source === undefined || tokens === null) return null;
  const parts = split(tokens, "else");
  const [otherwise, more] = parts.pop() ?? [];
  if (parts.length === 0 || parts.length > MAX_RULES || more !== undefined) return null;
  if (otherwise?.kind !== "string" || textLiteral(otherwise.text) !== OTHERWISE) return null;
  const rules = parts.map((part) => ruleIn(source, part));
  return rules.includes(null) ? null : (rules as CaseRule[]);
}
