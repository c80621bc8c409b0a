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
export function depthsOf(tokens: readonly Token[]): number[] | null {
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
export function endsWith(tokens: readonly Token[], ...texts: string[]): boolean {
  const start = tokens.length - texts.length;
  return start > 0 && texts.every((text, at) => tokens[start + at]?.text === text);
}

/** Return true if brackets around all tokens belong together: `(a) + (b)` has none. */
export function isEnclosed(tokens: readonly Token[], bracket = "("): boolean {
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
export function comparisonsIn(tokens: readonly Token[]): number[] {
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
  return tokens.length === 0 ||
    tokens.some(({ text }, at) => depths[at] === 0 && [",", "=", ":"].includes(text))
    ? "Enter an expression, such as input.total"
    : undefined;
}
