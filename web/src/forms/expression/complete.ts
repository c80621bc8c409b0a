/** Completion of expressions: pure, from the text, the cursor position and the data in scope. */
import type { Json } from "@/definition/types";
import language from "./language.json";
import { KEYWORDS, type Region, regionAt, regionsOf } from "./regions";
import { brief, type Path, pathText, RUN_KEYS, type Scope, valueAt, WORKFLOW_KEYS } from "./scope";

export interface Option {
  label: string;
  /** The inserted text; by default the label. */
  insert?: string;
  /** The start of the insertion if it differs from the others': before a dot that a bracket replaces. */
  from?: number;
  /** Text beside the label: a value, a filter's arguments. */
  detail?: string;
  type: "name" | "key" | "function" | "filter" | "keyword";
}

export interface Completion {
  from: number;
  to: number;
  options: Option[];
}

interface Read {
  path: Path;
  /** The beginning of the next key, and its position. */
  part: string;
  from: number;
  /** The syntax of the next key. */
  by: "dot" | "bracket";
}

const CHAIN =
  /(?:^|[^\w."'\])])([A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[\s*(?:"[^"\]]*"|'[^'\]]*'|-?\d+)\s*\])*)(\.|\[\s*["'])([\w\- ]*)$/;
const STEP = /\.([A-Za-z_]\w*)|\[\s*(?:"([^"]*)"|'([^']*)'|(-?\d+))\s*\]/g;

/** Return the path at the end of the text, such as `steps.http.` or `input["na`. */
function readAtEnd(text: string): Read | undefined {
  const found = CHAIN.exec(text);
  if (found === null) return undefined;
  const [, chain = "", opening = "", part = ""] = found;
  const root = /^\w+/.exec(chain)?.[0] ?? "";
  const path: Path = [root];
  for (const [, name, double, single, number] of chain.slice(root.length).matchAll(STEP)) {
    path.push(number !== undefined ? Number(number) : (name ?? double ?? single ?? ""));
  }
  const by = opening.startsWith(".") ? "dot" : "bracket";
  if (by === "dot" && !/^\w*$/.test(part)) return undefined;
  return { path, part, from: text.length - part.length, by };
}

function keyOptions(value: Json | undefined, read: Read): Option[] {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return [];
  return Object.entries(value).map(([key, inner]) => keyOption(key, brief(inner), read));
}

function keyOption(key: string, detail: string, read: Read): Option {
  const option: Option = { label: key, detail, type: "key" };
  if (read.by === "dot" && !/^[A-Za-z_]\w*$/.test(key)) {
    return { ...option, insert: `[${JSON.stringify(key)}]`, from: read.from - 1 };
  }
  return option;
}

/** For a list return its first item, to complete the keys of items. */
function placeOptions(value: Json | undefined, read: Read): Option[] {
  if (!Array.isArray(value) || read.by !== "dot" || value.length === 0) return [];
  const place = (at: number, label: string): Option => ({
    label,
    insert: `[${at}]`,
    from: read.from - 1,
    detail: brief(value.at(at)),
    type: "key",
  });
  return [place(0, "first item"), place(-1, "last item")];
}

function methodOptions(value: Json | undefined, read: Read): Option[] {
  if (read.by !== "dot") return [];
  const kind =
    typeof value === "string"
      ? "text"
      : Array.isArray(value)
        ? "list"
        : value && typeof value === "object"
          ? "object"
          : null;
  if (kind === null) return [];
  return language.methods[kind].map(({ name, takes }) => ({
    label: `${name}()`,
    insert: `${name}()`,
    detail: takes,
    type: "function" as const,
  }));
}

const NOW = ["year", "month", "day", "hour", "minute", "second"];

function memberOptions(read: Read, scope: Scope): Option[] {
  const [root] = read.path;
  if (read.path.length === 1) {
    if (root === "steps") return scope.steps.map((step) => keyOption(step.id, step.name, read));
    if (root === "secrets") return scope.secrets.map((name) => keyOption(name, "secret", read));
    if (root === "run") return RUN_KEYS.map((key) => keyOption(key, "", read));
    if (root === "workflow") return WORKFLOW_KEYS.map((key) => keyOption(key, "", read));
    if (root === "now" && read.by === "dot") {
      const methods = language.methods.datetime.map(({ name, takes }) => ({
        label: `${name}()`,
        insert: `${name}()`,
        detail: takes,
        type: "function" as const,
      }));
      return [...NOW.map((key) => keyOption(key, "", read)), ...methods];
    }
  }
  const known = valueAt(scope, read.path);
  if (known === null) return [];
  return [...keyOptions(known.value, read), ...placeOptions(known.value, read), ...methodOptions(known.value, read)];
}

function nameOptions(scope: Scope): Option[] {
  const name = (label: string, detail: string): Option => ({ label, detail, type: "name" });
  const names = [
    name("input", scope.input === undefined ? "input of this node" : brief(scope.input)),
    name("steps", "outputs of earlier nodes"),
    name("trigger", scope.trigger === undefined ? "data of the trigger" : brief(scope.trigger)),
    name("vars", "variables of the flow"),
    name("secrets", "credentials by name"),
    name("run", "current run"),
    name("workflow", "current flow"),
    name("now", "current date and time"),
  ];
  const perItem = [name("item", "current item"), name("index", "index of the item, from 0")];
  const near = scope.steps.slice(0, 5).map(
    (step): Option => ({
      label: pathText(["steps", step.id]),
      detail: step.name,
      type: "name",
    }),
  );
  const functions = language.functions.map(
    ({ name: label, takes }): Option => ({
      label: `${label}()`,
      insert: `${label}()`,
      detail: takes,
      type: "function",
    }),
  );
  const keywords = [...KEYWORDS].map((label): Option => ({ label, type: "keyword" }));
  return [...(scope.perItem ? perItem : []), ...names, ...near, ...functions, ...keywords];
}

function filterOptions(): Option[] {
  return language.filters.map(({ name, takes, of }) => ({
    label: name,
    insert: takes === "" ? name : `${name}()`,
    detail: `${takes} for ${of}`.trim(),
    type: "filter",
  }));
}

/** Return true if a string literal is open at the end. */
function isInQuotes(text: string): boolean {
  let open = "";
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at] ?? "";
    if (open !== "" && letter === "\\") at += 1;
    else if (open !== "") open = letter === open ? "" : open;
    else if (letter === '"' || letter === "'") open = letter;
  }
  return open !== "";
}

/** Return the completions at the cursor; null outside expressions, in literals, and if nothing is known. */
export function complete(text: string, position: number, scope: Scope): Completion | null {
  const region = regionAt(text, position);
  if (region === undefined) return null;
  const before = text.slice(region.start, position);
  const read = readAtEnd(before);
  if (read !== undefined && (read.by === "bracket" || !isInQuotes(before))) {
    const options = memberOptions(read, scope);
    return options.length === 0
      ? null
      : { from: region.start + read.from, to: position, options: shift(options, region.start) };
  }
  if (isInQuotes(before)) return null;
  const word = /\w*$/.exec(before)?.[0] ?? "";
  const rest = before.slice(0, before.length - word.length);
  const from = position - word.length;
  if (/\|\s*$/.test(rest)) return { from, to: position, options: filterOptions() };
  if (/\bis(\s+not)?\s+$/.test(rest)) {
    const tests = language.tests.map(({ name, takes }): Option => ({ label: name, detail: takes, type: "keyword" }));
    return { from, to: position, options: tests };
  }
  if (/[\w.\])"']$/.test(rest) || /^\d/.test(word)) return null;
  return { from, to: position, options: nameOptions(scope) };
}

function shift(options: Option[], by: number): Option[] {
  return options.map((option) => (option.from === undefined ? option : { ...option, from: option.from + by }));
}

/** Return the id of the node whose output is needed to complete here, such as `http` in `steps.http.bo`. */
export function wantedStep(text: string, position: number): string | undefined {
  const region = regionAt(text, position);
  if (region === undefined) return undefined;
  const path = readAtEnd(text.slice(region.start, position))?.path;
  return path?.[0] === "steps" && typeof path[1] === "string" ? path[1] : undefined;
}

interface Insertion {
  from: number;
  to: number;
  insert: string;
}

/** A path, a text or a number. */
const OPERAND =
  /[A-Za-z_]\w*(?:\.\w*|\[\s*(?:"[^"\]]*"|'[^'\]]*'|-?\d+)\s*\])*|"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|\d+(?:\.\d+)?/g;

/** Return the operand at the position, which a path can replace; undefined for a keyword, a filter or a function. */
function operandAt(text: string, region: Region, position: number): Pick<Insertion, "from" | "to"> | undefined {
  for (const found of text.slice(region.start, region.end).matchAll(OPERAND)) {
    const [operand] = found;
    const from = region.start + found.index;
    const end = from + operand.length;
    if (position < from || position > end) continue;
    // Of a called method, the value before its dot.
    const to = text[end] === "(" ? from + operand.lastIndexOf(".") : end;
    const isFilter = /\|\s*$/.test(text.slice(region.start, from));
    return to > from && !isFilter && !KEYWORDS.has(operand) ? { from, to } : undefined;
  }
  return undefined;
}

const LETTERS = /^[\p{L}\p{N}_]*/u;
const AFTER_LETTER = /[\p{L}\p{N}_]$/u;

/** Return the end of the word around the position, or the position between words. */
function endOfWord(text: string, position: number): number {
  if (!AFTER_LETTER.test(text.slice(0, position))) return position;
  return position + (LETTERS.exec(text.slice(position))?.[0].length ?? 0);
}

/**
 * Return how a picked path goes into the text: it replaces the selection. At a single position, it replaces the operand
 * of an expression there; elsewhere it is inserted between words, outside of expressions in braces.
 */
export function insertionAt(text: string, path: Path, from: number, to = from): Insertion {
  const bare = pathText(path);
  const braced = `{{ ${bare} }}`;
  const region = regionAt(text, from);
  const isWithin = region !== undefined && to <= region.end;
  if (from !== to) return { from, to, insert: isWithin ? bare : braced };
  if (isWithin) {
    const operand = operandAt(text, region, from);
    if (operand !== undefined) return { ...operand, insert: bare };
    const at = endOfWord(text, from);
    const space = AFTER_LETTER.test(text.slice(0, at)) ? " " : "";
    return { from: at, to: at, insert: space + bare };
  }
  // Between the two letters of its braces, an expression would be torn apart.
  const torn = regionsOf(text).find((one) => from > one.from && from < one.to);
  const at = torn === undefined ? endOfWord(text, from) : from < torn.start ? torn.from : torn.to;
  return { from: at, to: at, insert: braced };
}
