/** Find the expressions in a text and split them into parts: for colors and completion. */

export interface Region {
  /** Position of the braces. */
  from: number;
  to: number;
  /** Position of the content between them. */
  start: number;
  end: number;
}

/** Return the position after a string literal that starts here; the end of the text if it is not closed. */
function afterQuote(text: string, at: number): number {
  const quote = text[at];
  for (let place = at + 1; place < text.length; place += 1) {
    if (text[place] === "\\") place += 1;
    else if (text[place] === quote) return place + 1;
  }
  return text.length;
}

/** Braces of an object in the expression do not end it. */
function endOf(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; ) {
    const letter = text[at];
    if (letter === '"' || letter === "'") {
      at = afterQuote(text, at);
      continue;
    }
    if (letter === "}" && depth === 0 && text[at + 1] === "}") return at;
    if (letter === "{") depth += 1;
    if (letter === "}") depth = Math.max(0, depth - 1);
    at += 1;
  }
  return text.length;
}

export function regionsOf(text: string): Region[] {
  const found: Region[] = [];
  for (let from = text.indexOf("{{"); from !== -1; ) {
    const end = endOf(text, from + 2);
    const to = Math.min(end + 2, text.length);
    found.push({ from, to, start: from + 2, end });
    from = text.indexOf("{{", to);
  }
  return found;
}

/** Return the expression at a position, including the position before its closing braces. */
export function regionAt(text: string, position: number): Region | undefined {
  return regionsOf(text).find((one) => position >= one.start && position <= one.end);
}

export type Part = "string" | "number" | "keyword" | "name" | "filter" | "operator";

export interface Token {
  part: Part;
  from: number;
  to: number;
}

export const KEYWORDS = new Set(["and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "null"]);
const WORD = /[A-Za-z_][A-Za-z0-9_]*/y;
const NUMBER = /\d+(\.\d+)?/y;

function matchAt(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}

/** Return the parts of an expression that have a color. */
export function tokensOf(text: string, region: Region): Token[] {
  const found: Token[] = [];
  let before = "";
  for (let at = region.start; at < region.end; ) {
    const letter = text[at] ?? "";
    let to = at + 1;
    let part: Part | undefined;
    if (letter === '"' || letter === "'") {
      to = Math.min(afterQuote(text, at), region.end);
      part = "string";
    } else {
      const word = matchAt(WORD, text, at);
      const number = word === undefined ? matchAt(NUMBER, text, at) : undefined;
      to = at + (word ?? number ?? letter).length;
      if (word !== undefined)
        part = before === "|" ? "filter" : KEYWORDS.has(word) && before !== "." ? "keyword" : "name";
      else if (number !== undefined) part = "number";
      else if (/[-+*/%~<>=!|]/.test(letter)) part = "operator";
    }
    if (part !== undefined) found.push({ part, from: at, to });
    if (letter.trim() !== "") before = letter;
    at = to;
  }
  return found;
}
