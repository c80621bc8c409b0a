/** Write conditions, and rules of a switch, as an expression. `read.ts` and `model.ts` read it again. */
import type { Json } from "@/definition/types";
import { type CaseRule, type Group, isGroup, type Op, OTHERWISE, type Rule, type Value } from "./model";

import { operandFault, tightness, tokensIn } from "./read";

/** Return a plain value in the syntax of expressions, which accepts JSON except for `null`. */
export function literalText(value: Json): string {
  if (value === null) return "none";
  if (Array.isArray(value)) return `[${value.map(literalText).join(", ")}]`;
  return JSON.stringify(value);
}

/** Return the operand, in parentheses if what surrounds it would take it apart. */
function operand(text: string, inside: "chain" | "comparison"): string {
  const held = tightness(tokensIn(text) ?? []);
  const fits = held === "chain" || (inside === "comparison" && held === "sum");
  return fits ? text.trim() : `(${text.trim()})`;
}

function valueText(value: Value | undefined): string {
  if (value === undefined) return "none";
  return "literal" in value ? literalText(value.literal) : value.expression.trim();
}

type Writer = (field: string, value: string) => string;

const at = (text: string) => operand(text, "comparison");
const chain = (text: string) => operand(text, "chain");
const compare =
  (sign: string): Writer =>
  (field, value) =>
    `${at(field)} ${sign} ${at(value)}`;
const after =
  (more: string): Writer =>
  (field) =>
    `${chain(field)}${more}`;
const method =
  (name: string, not = ""): Writer =>
  (field, value) =>
    `${not}${chain(field)}.${name}(${value})`;
const length =
  (sign: string): Writer =>
  (field, value) =>
    `${chain(field)}|length ${sign} ${at(value)}`;
const date =
  (sign: string): Writer =>
  (field, value) =>
    `datetime(${field.trim()}) ${sign} datetime(${value})`;
const age =
  (sign: string): Writer =>
  (field, value) =>
    `datetime(${field.trim()}) ${sign} now - timedelta(days=${value})`;

const WRITERS: Record<Op, Writer> = {
  exists: after(" is defined"),
  missing: after(" is undefined"),
  has_value: after("|default(none) is not none"),
  no_value: after("|default(none) is none"),
  null: after(" is none"),
  not_null: after(" is not none"),
  truthy: (field) => at(field),
  falsy: (field) => `not ${at(field)}`,
  eq: compare("=="),
  ne: compare("!="),
  gt: compare(">"),
  ge: compare(">="),
  lt: compare("<"),
  le: compare("<="),
  contains: (field, value) => `${at(value)} in ${at(field)}`,
  not_contains: (field, value) => `${at(value)} not in ${at(field)}`,
  eq_i: (field, value) => `${chain(field)}|lower == ${chain(value)}|lower`,
  contains_i: (field, value) => `${chain(value)}|lower in ${chain(field)}|lower`,
  starts: method("startswith"),
  not_starts: method("startswith", "not "),
  ends: method("endswith"),
  not_ends: method("endswith", "not "),
  one_of: compare("in"),
  not_one_of: compare("not in"),
  true: after(" == true"),
  false: after(" == false"),
  before: date("<"),
  after: date(">"),
  older: age("<"),
  newer: age(">"),
  len_eq: length("=="),
  len_gt: length(">"),
  len_lt: length("<"),
  empty: after('|default("", true)|length == 0'),
  not_empty: after('|default("", true)|length > 0'),
};

/** Return true if the row can be written; others stay in the form until they are complete. */
export function isComplete({ field, value }: Rule): boolean {
  if (operandFault(field) !== undefined) return false;
  return value === undefined || "literal" in value || operandFault(value.expression) === undefined;
}

function writeGroup(group: Group, isInner: boolean): string {
  const parts = group.rules.map(writePart).filter((text) => text !== "");
  const text = parts.join(group.all ? " and " : " or ");
  return isInner && parts.length > 1 ? `(${text})` : text;
}

function writePart(part: Rule | Group): string {
  if (isGroup(part)) return writeGroup(part, true);
  return isComplete(part) ? WRITERS[part.op](part.field, valueText(part.value)) : "";
}

/** Return the conditions as an expression without its braces; empty if no row is complete. */
export function conditionText(group: Group): string {
  return writeGroup(group, false);
}

/** Return the conditions as the text of a setting. */
export function write(group: Group): string {
  const text = conditionText(group);
  return text === "" ? "" : `{{ ${text} }}`;
}

/** Return the rules as the text of a setting; empty if no rule is complete. */
export function writeRules(rules: readonly CaseRule[]): string {
  const parts = rules.flatMap(({ condition, name }) => {
    const text = conditionText(condition);
    return text === "" || name === "" ? [] : [`${literalText(name)} if ${text} else `];
  });
  return parts.length === 0 ? "" : `{{ ${parts.join("")}${literalText(OTHERWISE)} }}`;
}
