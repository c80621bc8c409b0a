/**
 * References to other nodes in a node's expressions: `steps.<id>`, `steps["id"]`, `steps.get("id")` inside `{{ … }}`.
 * Other text, such as source code, is left unchanged, since its meaning is unknown.
 */
import type { FlowNode, Json } from "@/definition/types";

export type Renamed = ReadonlyMap<string, string>;

const WORD = /[A-Za-z0-9_]/;
const OPENS = "{[(";
const CLOSES = "}])";

/** Return the end of the string literal that starts at `at`: the position after its closing quote. */
function afterText(text: string, at: number): number {
  const quote = text[at];
  let here = at + 1;
  while (here < text.length && text[here] !== quote) here += text[here] === "\\" ? 2 : 1;
  return here + 1;
}

function spaces(text: string, at: number): number {
  let here = at;
  while (/\s/.test(text[here] ?? "")) here += 1;
  return here;
}

interface Mention {
  id: string;
  start: number;
  end: number;
}

function quotedAt(text: string, at: number): Mention | undefined {
  if (text[at] !== '"' && text[at] !== "'") return undefined;
  const end = afterText(text, at) - 1;
  return { id: text.slice(at + 1, end), start: at + 1, end };
}

function wordAt(text: string, at: number): Mention {
  let end = at;
  while (WORD.test(text[end] ?? "")) end += 1;
  return { id: text.slice(at, end), start: at, end };
}

/** Return the id accessed on `steps`, if the word ends at `after`. */
function mentionAt(text: string, after: number): Mention | undefined {
  const next = spaces(text, after);
  if (text[next] === "[") return quotedAt(text, spaces(text, next + 1));
  if (text[next] !== ".") return undefined;
  const word = wordAt(text, spaces(text, next + 1));
  const call = spaces(text, word.end);
  if (word.id === "get" && text[call] === "(") return quotedAt(text, spaces(text, call + 1));
  return word.id === "" ? undefined : word;
}

/** Return true if the word at `at` is a name, not a key: `steps`, but not `input.steps`. */
function isName(text: string, at: number): boolean {
  if (WORD.test(text[at - 1] ?? "")) return false;
  return !/[.|]\s*$/.test(text.slice(Math.max(0, at - 20), at));
}

/** Return the references in the expression that starts at `at`, and its end. */
function expression(text: string, at: number): { mentions: Mention[]; end: number } {
  const mentions: Mention[] = [];
  let depth = 0;
  let here = at;
  while (here < text.length) {
    const letter = text[here] as string;
    if (letter === '"' || letter === "'") {
      here = afterText(text, here);
      continue;
    }
    if (depth === 0 && text.startsWith("}}", here)) return { mentions, end: here + 2 };
    if (OPENS.includes(letter)) depth += 1;
    if (CLOSES.includes(letter)) depth = Math.max(0, depth - 1);
    if (!WORD.test(letter)) {
      here += 1;
      continue;
    }
    const word = wordAt(text, here);
    const found = word.id === "steps" && isName(text, here) ? mentionAt(text, word.end) : undefined;
    if (found !== undefined) mentions.push(found);
    here = found?.end ?? word.end;
    // Inside quotes, the closing quote must not be taken for an opening one.
    if (found !== undefined && (text[found.end] === '"' || text[found.end] === "'")) here += 1;
  }
  return { mentions, end: text.length };
}

function mentionsIn(text: string): Mention[] {
  const found: Mention[] = [];
  let here = text.indexOf("{");
  while (here !== -1 && here < text.length) {
    if (text.startsWith("{#", here)) {
      const end = text.indexOf("#}", here + 2);
      here = end === -1 ? text.length : end + 2;
    } else if (text.startsWith("{{", here)) {
      const { mentions, end } = expression(text, here + 2);
      found.push(...mentions);
      here = end;
    } else here += 1;
    here = text.indexOf("{", here);
  }
  return found;
}

/** Return the text with the ids in its expressions replaced; the same text if it contains none of them. */
export function rewriteText(text: string, renamed: Renamed): string {
  let made = "";
  let done = 0;
  for (const { id, start, end } of mentionsIn(text)) {
    const other = renamed.get(id);
    if (other === undefined) continue;
    made += text.slice(done, start) + other;
    done = end;
  }
  return done === 0 ? text : made + text.slice(done);
}

/** Return the value with the ids in its expressions replaced; the same object if nothing changes. */
export function rewrite<T extends Json>(value: T, renamed: Renamed): T {
  if (typeof value === "string") return rewriteText(value, renamed) as T;
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    const items = value.map((item) => rewrite(item, renamed));
    return (items.some((item, at) => item !== value[at]) ? items : value) as T;
  }
  const entries = Object.entries(value).map(([key, item]) => [key, rewrite(item, renamed)] as const);
  const changed = entries.some(([key, item]) => item !== (value as Record<string, Json>)[key]);
  return (changed ? Object.fromEntries(entries) : value) as T;
}

/** Return true if a config key is taken literally: `{{ … }}` is not an expression in it. */
export type IsLiteral = (type: string, key: string) => boolean;

/** Return the node with the ids in its expressions replaced; the same object if it contains none of them. */
export function rewriteNode(node: FlowNode, renamed: Renamed, isLiteral: IsLiteral): FlowNode {
  const config = node.config;
  let made = node;
  for (const [key, value] of Object.entries(config ?? {})) {
    const other = isLiteral(node.type, key) ? value : rewrite(value, renamed);
    if (other !== value) made = { ...made, config: { ...made.config, [key]: other } };
  }
  if (node.foreach !== undefined) {
    const foreach = rewrite(node.foreach, renamed);
    if (foreach !== node.foreach) made = { ...made, foreach };
  }
  if (node.repeat !== undefined) {
    const until = rewrite(node.repeat.until, renamed);
    if (until !== node.repeat.until) made = { ...made, repeat: { ...node.repeat, until } };
  }
  return made;
}
