/** Read conditions from an expression: the form of `write.ts`, and what people write by hand in the same way. */
import type { Json } from "@/definition/types";
import { DEEPEST, type Group, isGroup, type Op, type Rule, type Value } from "./model";

/**
 * Tokens of an expression, enough to split conditions and operands; the server's parser finds all other errors. The
 * text of a string has its quotes, so it differs from every word and sign.
 */

export interface Token {
  kind: "string" | "number" | "name" | "sign";
  text: string;
  from: number;
  to: number;
}

const PART =
  /\s*(?:("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(\d+(?:_\d+)*(?:\.\d+)?(?:[eE][+-]?\d+)?)|([A-Za-z_][A-Za-z0-9_]*)|(==|!=|<=|>=|\/\/|\*\*|[-+*/%~<>|.,:()[\]{}=]))/suy;
const KINDS = ["string", "number", "name", "sign"] as const;

/** Return the tokens; null if the text has others, or brackets that do not match. */
export function tokensIn(text: string): Token[] | null {
  const found: Token[] = [];
  const end = text.trimEnd().length;
  PART.lastIndex = 0;
  while (PART.lastIndex < end) {
    const match = PART.exec(text);
    if (match === null) return null;
    const at = match.slice(1).findIndex((part) => part !== undefined);
    const own = match[at + 1] as string;
    const to = match.index + match[0].length;
    found.push({ kind: KINDS[at] as Token["kind"], text: own, from: to - own.length, to });
  }
  return depthsOf(found) === null ? null : found;
}

const PAIRS: Record<string, string> = { "(": ")", "[": "]", "{": "}" };

/** Return the depth of each token, a bracket having that of its inside plus one less; null if brackets do not match. */
function depthsOf(tokens: readonly Token[]): number[] | null {
  const open: string[] = [];
  const depths: number[] = [];
  for (const { text } of tokens) {
    if (PAIRS[text] !== undefined) {
      depths.push(open.length);
      open.push(PAIRS[text]);
    } else if (/^[)\]}]$/.test(text)) {
      if (open.pop() !== text) return null;
      depths.push(open.length);
    } else depths.push(open.length);
  }
  return open.length === 0 ? depths : null;
}

/** Return true if the tokens at this place are these, at the outermost level. */
function endsWith(tokens: readonly Token[], ...texts: string[]): boolean {
  const start = tokens.length - texts.length;
  return start > 0 && texts.every((text, at) => tokens[start + at]?.text === text);
}

/** Return true if brackets around all tokens belong together: `(a) + (b)` has none. */
function isEnclosed(tokens: readonly Token[], bracket = "("): boolean {
  const depths = depthsOf(tokens);
  if (depths === null || tokens.length < 2 || tokens[0]?.text !== bracket) return false;
  return depths.findIndex((depth, at) => at > 0 && depth === 0) === tokens.length - 1;
}

/** Split at a word or sign of the outermost level. */
export function split(tokens: readonly Token[], at: string): Token[][] {
  const depths = depthsOf(tokens) ?? [];
  const parts: Token[][] = [[]];
  tokens.forEach((token, place) => {
    if (depths[place] === 0 && token.text === at) parts.push([]);
    else parts.at(-1)?.push(token);
  });
  return parts;
}

const COMPARING = new Set(["==", "!=", "<", "<=", ">", ">=", "in", "is"]);
const LOOSE = new Set(["and", "or", "not", "if", "else", ...COMPARING]);
const ARITHMETIC = new Set(["+", "-", "*", "/", "//", "%", "**", "~"]);

/** Return the places of the comparisons at the outermost level. */
function comparisonsIn(tokens: readonly Token[]): number[] {
  const depths = depthsOf(tokens) ?? [];
  return tokens.flatMap((token, at) => (depths[at] === 0 && COMPARING.has(token.text) ? [at] : []));
}

function has(tokens: readonly Token[], words: ReadonlySet<string>): boolean {
  const depths = depthsOf(tokens) ?? [];
  return tokens.some((token, at) => depths[at] === 0 && words.has(token.text));
}

/** How tightly the text holds together: a chain such as `a.b|c`, a sum, or a condition, which needs parentheses. */
export function tightness(tokens: readonly Token[]): "chain" | "sum" | "loose" {
  if (has(tokens, LOOSE)) return "loose";
  return has(tokens, ARITHMETIC) ? "sum" : "chain";
}

/** Return the problem of a field's or value's expression. */
export function operandFault(text: string): string | undefined {
  const tokens = tokensIn(text);
  if (tokens === null) return "Not a valid expression";
  const depths = depthsOf(tokens) ?? [];
  const last = tokens.at(-1);
  if (last?.kind === "sign" && !/[)\]}]/.test(last.text)) return "Not complete";
  return tokens.length === 0 || tokens.some(({ text }, at) => depths[at] === 0 && [",", "=", ":"].includes(text))
    ? "Enter an expression, such as input.total"
    : undefined;
}

const ESCAPES: Record<string, string> = { n: "\n", r: "\r", t: "\t", "\\": "\\", "'": "'", '"': '"' };

/** Return the text of a literal with its quotes; undefined if it has unknown escapes. */
export function textLiteral(source: string): string | undefined {
  if (source.startsWith('"')) {
    try {
      return JSON.parse(source) as string;
    } catch {
      // Escapes that JSON does not have are tried below; a line break in the text is not an escape.
    }
  }
  let known = true;
  const made = source.slice(1, -1).replace(/\\(.)/gsu, (_, letter: string) => {
    known &&= ESCAPES[letter] !== undefined;
    return ESCAPES[letter] ?? letter;
  });
  return known ? made : undefined;
}

const WORDS: Record<string, Json> = { true: true, false: false, none: null, null: null };

/** Return the plain value of the tokens; undefined if it must be evaluated. */
function literalOf(tokens: readonly Token[]): Json | undefined {
  const [first, second] = tokens;
  if (first === undefined) return undefined;
  if (tokens.length === 1) {
    if (first.kind === "string") return textLiteral(first.text);
    if (first.kind === "number") return numberOf(first.text);
    return first.kind === "name" && Object.hasOwn(WORDS, first.text) ? WORDS[first.text] : undefined;
  }
  if (tokens.length === 2 && first.text === "-" && second?.kind === "number") {
    const number = numberOf(second.text);
    return number === undefined ? undefined : -number;
  }
  if (!isEnclosed(tokens, "[")) return undefined;
  if (tokens.length === 2) return [];
  const items = split(tokens.slice(1, -1), ",").map(literalOf);
  return items.some((item) => item === undefined || typeof item === "object") ? undefined : (items as Json[]);
}

function numberOf(text: string): number | undefined {
  const number = Number(text.replaceAll("_", ""));
  return Math.abs(number) <= Number.MAX_SAFE_INTEGER ? number : undefined;
}

/** Return the tokens without parentheses around all of them. */
function inner(tokens: readonly Token[]): readonly Token[] {
  return isEnclosed(tokens) ? inner(tokens.slice(1, -1)) : tokens;
}

/** Reads the rules of one source text. Methods return null if the form cannot show it. */
class Reader {
  private readonly source: string;

  constructor(source: string) {
    this.source = source;
  }

  /** The source of an operand, without parentheses around all of it. */
  private text(tokens: readonly Token[]): string {
    const inside = inner(tokens);
    return this.source.slice(inside[0]?.from ?? 0, inside.at(-1)?.to ?? 0);
  }

  private value(tokens: readonly Token[]): Value {
    const literal = literalOf(tokens);
    return literal === undefined || Array.isArray(literal) ? { expression: this.text(tokens) } : { literal };
  }

  group(tokens: readonly Token[], depth = 0): Group | null {
    if (depth > DEEPEST) return null;
    const any = split(tokens, "or");
    const all = any.length === 1;
    const parts = all ? split(tokens, "and") : any;
    const rules = parts.map((part) => (all ? this.part(part, depth) : this.ofOr(part, depth)));
    return rules.includes(null) ? null : { all, rules: rules as (Rule | Group)[] };
  }

  /** A part of an "or": a group of its own if it has an "and". */
  private ofOr(tokens: readonly Token[], depth: number): Rule | Group | null {
    return split(tokens, "and").length > 1 ? this.group(tokens, depth + 1) : this.part(tokens, depth);
  }

  private part(tokens: readonly Token[], depth: number): Rule | Group | null {
    if (tokens.length === 0) return null;
    if (isEnclosed(tokens)) {
      const made = this.group(tokens.slice(1, -1), depth + 1);
      const [only] = made?.rules ?? [];
      return made?.rules.length === 1 && only !== undefined ? only : made;
    }
    return this.rule(tokens);
  }

  private rule(tokens: readonly Token[]): Rule | null {
    const [place, another] = comparisonsIn(tokens);
    if (another !== undefined) return null;
    if (place === undefined) return this.alone(tokens);
    const isNot = tokens[place]?.text === "in" && tokens[place - 1]?.text === "not";
    const left = tokens.slice(0, isNot ? place - 1 : place);
    const right = tokens.slice(place + 1);
    const sign = `${isNot ? "not " : ""}${tokens[place]?.text}`;
    if (left.length === 0 || right.length === 0 || tightness(left) === "loose") return null;
    if (sign === "is") return this.test(left, right);
    if (tightness(right) === "loose") return null;
    const sides = [inner(left), inner(right)] as const;
    return this.checked(sign.endsWith("in") ? this.member(sign, ...sides) : this.compared(sign, ...sides));
  }

  private checked(rule: Rule | null): Rule | null {
    if (rule === null || operandFault(rule.field) !== undefined) return null;
    const { value } = rule;
    const isWrong = value !== undefined && "expression" in value && operandFault(value.expression) !== undefined;
    return isWrong || literalOf(tokensIn(rule.field) ?? []) !== undefined ? null : rule;
  }

  /** A condition without a comparison: a call, or a value by itself. */
  private alone(tokens: readonly Token[]): Rule | null {
    const not = tokens[0]?.text === "not" && tokens[0].kind === "name";
    const rest = not ? tokens.slice(1) : tokens;
    if (rest.length === 0) return null;
    if (tightness(isEnclosed(rest) ? rest.slice(1, -1) : rest) === "loose") return null;
    for (const [name, op, negated] of [
      ["startswith", "starts", "not_starts"],
      ["endswith", "ends", "not_ends"],
    ] as const) {
      const found = this.called(rest, name);
      if (found !== null) return this.checked({ ...found, op: not ? negated : op });
    }
    return this.checked({ field: this.text(rest), op: not ? "falsy" : "truthy" });
  }

  /** `field.name(value)`. */
  private called(tokens: readonly Token[], name: string): Rule | null {
    const place = tokens.findLastIndex((token) => token.text === name && token.kind === "name");
    const args = tokens.slice(place + 1);
    if (place < 2 || tokens[place - 1]?.text !== "." || !isEnclosed(args) || args.length < 3) return null;
    const field = tokens.slice(0, place - 1);
    const [value, more] = split(args.slice(1, -1), ",");
    if (value === undefined || more !== undefined || tightness(field) !== "chain") return null;
    return { field: this.text(field), op: "starts", value: this.value(value) };
  }

  private test(left: readonly Token[], right: readonly Token[]): Rule | null {
    if (tightness(left) !== "chain") return null;
    const test = right.map((token) => token.text).join(" ");
    const field = this.text(left);
    if (endsWith(left, "|", "default", "(", "none", ")") && /^(not )?none$/.test(test)) {
      const op = test === "none" ? "no_value" : "has_value";
      return this.checked({ field: this.text(left.slice(0, -5)), op });
    }
    const ops: Record<string, Op> = {
      defined: "exists",
      "not undefined": "exists",
      undefined: "missing",
      "not defined": "missing",
      none: "null",
      "not none": "not_null",
    };
    const op = Object.hasOwn(ops, test) ? ops[test] : undefined;
    return op === undefined ? null : this.checked({ field, op });
  }

  private member(sign: string, left: readonly Token[], right: readonly Token[]): Rule {
    const not = sign !== "in";
    const list = literalOf(right);
    if (Array.isArray(list) && literalOf(left) === undefined) {
      return { field: this.text(left), op: not ? "not_one_of" : "one_of", value: { literal: list } };
    }
    if (!not && endsWith(left, "|", "lower") && endsWith(right, "|", "lower")) {
      return {
        field: this.text(right.slice(0, -2)),
        op: "contains_i",
        value: this.value(left.slice(0, -2)),
      };
    }
    return { field: this.text(right), op: not ? "not_contains" : "contains", value: this.value(left) };
  }

  private compared(sign: string, left: readonly Token[], right: readonly Token[]): Rule {
    if (literalOf(left) !== undefined && literalOf(right) === undefined) {
      return this.compared(TURNED[sign] ?? sign, right, left);
    }
    return (
      this.dated(sign, left, right) ??
      this.measured(sign, left, right) ?? {
        field: this.text(left),
        op: SIGNS[sign] as Op,
        value: this.value(right),
      }
    );
  }

  private dated(sign: string, left: readonly Token[], right: readonly Token[]): Rule | null {
    const field = argumentOf(left, "datetime");
    if (field === null || (sign !== "<" && sign !== ">")) return null;
    const value = argumentOf(right, "datetime");
    if (value !== null) {
      return { field: this.text(field), op: sign === "<" ? "before" : "after", value: this.value(value) };
    }
    const [now, minus, ...rest] = right;
    const days = now?.text === "now" && minus?.text === "-" ? argumentOf(rest, "timedelta", "days") : null;
    if (days === null) return null;
    return { field: this.text(field), op: sign === "<" ? "older" : "newer", value: this.value(days) };
  }

  /** A length, a boolean, or a comparison that ignores case. */
  private measured(sign: string, left: readonly Token[], right: readonly Token[]): Rule | null {
    const number = literalOf(right);
    const empty = sign === "==" ? "empty" : "not_empty";
    if (number === 0 && (sign === "==" || sign === ">") && endsWith(left, ...OR_BLANK)) {
      return { field: this.text(left.slice(0, -OR_BLANK.length)), op: empty };
    }
    if (sign in LENGTHS && (endsWith(left, "|", "length") || endsWith(left, "|", "count"))) {
      const field = this.text(left.slice(0, -2));
      if (tightness(left) === "chain") return { field, op: LENGTHS[sign] as Op, value: this.value(right) };
    }
    if (sign === "==" && typeof number === "boolean" && tightness(left) === "chain") {
      return { field: this.text(left), op: number ? "true" : "false" };
    }
    if (sign === "==" && endsWith(left, "|", "lower") && endsWith(right, "|", "lower")) {
      return { field: this.text(left.slice(0, -2)), op: "eq_i", value: this.value(right.slice(0, -2)) };
    }
    return null;
  }
}

const SIGNS: Record<string, Op> = { "==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge" };
const TURNED: Record<string, string> = { "<": ">", "<=": ">=", ">": "<", ">=": "<=" };
const LENGTHS: Record<string, Op> = { "==": "len_eq", ">": "len_gt", "<": "len_lt" };
const OR_BLANK = ["|", "default", "(", '""', ",", "true", ")", "|", "length"];

/** Return the only argument of a call that is all of the tokens: `datetime(a)`, `timedelta(days=a)`. */
function argumentOf(tokens: readonly Token[], name: string, keyword?: string): Token[] | null {
  if (tokens[0]?.text !== name || !isEnclosed(tokens.slice(1))) return null;
  const inside = tokens.slice(2, -1);
  if (split(inside, ",").length > 1) return null;
  const [first, second] = split(inside, "=");
  if (keyword === undefined) return second === undefined && inside.length > 0 ? inside : null;
  return first?.[0]?.text === keyword && second !== undefined && second.length > 0 ? second : null;
}

/** Read conditions from these tokens of the source; null if the form cannot show them. */
export function groupIn(source: string, tokens: readonly Token[]): Group | null {
  const made = tokens.length === 0 ? null : new Reader(source).group(tokens);
  // An expression of a single group, in parentheses, is that group.
  const [only] = made?.rules ?? [];
  return made?.rules.length === 1 && only !== undefined && isGroup(only) ? only : made;
}

/** Return the inside of a setting that is exactly one expression; undefined for others. */
export function insideOf(value: Json): string | undefined {
  return typeof value === "string" ? /^\s*\{\{(?!-)(.*)(?<!-)\}\}\s*$/su.exec(value)?.[1] : undefined;
}

/** Read conditions from a setting: empty, or exactly one expression. */
export function read(value: Json | undefined): Group | null {
  if (value === undefined || value === "") return { all: true, rules: [] };
  const inside = insideOf(value);
  const tokens = inside === undefined ? null : tokensIn(inside);
  return inside === undefined || tokens === null ? null : groupIn(inside, tokens);
}
