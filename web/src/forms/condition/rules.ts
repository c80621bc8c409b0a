/**
 * Rules of a switch: the first whose condition is met decides the case. They are one expression, a chain of
 * `"case" if condition else …`, which `write.ts` writes.
 */
import type { Json } from "@/definition/types";
import type { Group } from "./model";
import { groupIn, insideOf, textLiteral } from "./read";
import { split, type Token, tokensIn } from "./tokens";

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
