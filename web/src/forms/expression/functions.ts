/** The functions of expressions with their documentation, to search and insert. */
import documented from "./documented.json";
import language from "./language.json";
import { regionAt, regionsOf } from "./regions";

type Kind = "function" | "filter" | "method" | "test";

export interface Documented {
  kind: Kind;
  name: string;
  /** How it is written: `round(precision, method)`. */
  signature: string;
  /** The values that it is for: text, numbers, lists. */
  of: string;
  does: string;
  example: string;
  result: string;
}

interface Entry {
  does: string;
  example: string;
  result: unknown;
}

function entryOf(kind: Kind, name: string, takes: string, of: string, entry: Entry | undefined): Documented {
  const shown = kind === "filter" ? `|${name}${takes}` : kind === "test" ? `is ${name}${takes}` : `${name}${takes}`;
  return {
    kind,
    name,
    signature: kind === "method" ? `.${shown}` : shown,
    of,
    does: entry?.does ?? "",
    example: entry?.example ?? "",
    result: JSON.stringify(entry?.result),
  };
}

function make(): Documented[] {
  const { functions, filters, tests, methods } = documented as unknown as {
    functions: Record<string, Entry>;
    filters: Record<string, Entry>;
    tests: Record<string, Entry>;
    methods: Record<string, Record<string, Entry>>;
  };
  return [
    ...language.functions.map(({ name, takes }) => entryOf("function", name, takes, "", functions[name])),
    ...language.filters.map(({ name, takes, of }) => entryOf("filter", name, takes, of, filters[name])),
    ...Object.entries(language.methods).flatMap(([of, named]) =>
      named.map(({ name, takes }) => entryOf("method", name, takes, of, methods[of]?.[name])),
    ),
    ...language.tests.map(({ name, takes }) => entryOf("test", name, takes, "", tests[name])),
  ];
}

export const FUNCTIONS: readonly Documented[] = make();

/** Return the functions that contain each word of the search, those whose name begins with it first. */
export function findFunctions(search: string): Documented[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const [first = ""] = words;
  const found = FUNCTIONS.filter((one) => {
    const text = `${one.kind} ${one.signature} ${one.of} ${one.does}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  const rank = (one: Documented) => (one.name.startsWith(first) ? 0 : one.name.includes(first) ? 1 : 2);
  return first === "" ? found : found.sort((a, b) => rank(a) - rank(b));
}

/** Return the text to insert at a position, and the place of the cursor in it: between the parentheses. */
export function insertionOfFunction(
  text: string,
  position: number,
  one: Documented,
): { insert: string; cursor: number } {
  const takes = /\((.+)\)$/.test(one.signature);
  const call = one.kind === "function" || one.kind === "method" || takes ? "()" : "";
  const start = { function: "", filter: "|", method: ".", test: " is " }[one.kind];
  const bare = `${start}${one.name}${call}`;
  const back = call !== "" && takes ? 1 : 0;
  if (regionAt(text, position) !== undefined) return { insert: bare, cursor: bare.length - back };
  const subject = one.kind === "function" ? "" : "input";
  const insert = `{{ ${subject}${bare} }}`;
  return { insert, cursor: insert.length - 3 - back };
}

// The place of an error in a text with expressions, from the server's message.

interface Place {
  from: number;
  to: number;
}

const AT = /\(line (\d+), column (\d+)\)/;
const NAMED =
  /'([^']{1,200})' is not defined|has no (?:key|field|item|method) '([^']{1,200})'|no (?:filter|test|function) '([^']{1,200})'/;

/** Return the part of the text that the message is about; the first expression if it does not say. */
export function placeOf(text: string, message: string): Place {
  const at = AT.exec(message);
  if (at !== null) {
    const lines = text.split("\n").slice(0, Number(at[1]) - 1);
    const from = lines.reduce((sum, line) => sum + line.length + 1, 0) + Number(at[2]) - 1;
    return { from: Math.min(from, Math.max(0, text.length - 1)), to: Math.min(from + 1, text.length) };
  }
  const named = NAMED.exec(message)
    ?.slice(1)
    .find((part) => part !== undefined);
  const regions = regionsOf(text);
  if (named !== undefined) {
    for (const region of regions) {
      const from = text.indexOf(named, region.start);
      if (from !== -1 && from < region.end) return { from, to: from + named.length };
    }
  }
  const [first] = regions;
  return first === undefined ? { from: 0, to: text.length } : { from: first.from, to: first.to };
}
