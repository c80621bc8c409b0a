/** The names that an expression can read, with their values in the last run as far as known. */
import type { Json } from "@/definition/types";

export interface StepKnown {
  id: string;
  /** The node's displayed name. */
  name: string;
  /** Its output; undefined while unknown. */
  output?: Json;
}

export interface Scope {
  input?: Json;
  trigger?: Json;
  vars?: Record<string, Json>;
  /** The nodes before this one, nearest first. */
  steps: StepKnown[];
  secrets: string[];
  /** True if `item` and `index` exist. */
  perItem: boolean;
  item?: Json;
  /** The path of the list whose items they are, if it is a plain path. */
  list?: Path;
}

export const RUN_KEYS = ["id", "triggered_by", "started_at"];
export const WORKFLOW_KEYS = ["id", "name", "version"];

export type Path = (string | number)[];

const PLAIN = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Return a path in expression syntax: `steps["my-node"].items[0]`. */
export function pathText(path: Path): string {
  return path
    .map((part, at) => {
      if (typeof part === "number") return `[${part}]`;
      if (at === 0) return part;
      return PLAIN.test(part) ? `.${part}` : `[${JSON.stringify(part)}]`;
    })
    .join("");
}

const PART = /\.([A-Za-z_]\w*)|\[\s*(?:("(?:[^"\\]|\\.)*")|(\d+))\s*\]/y;

/** Return the path of an expression such as `{{ steps.get.items }}`; undefined if it is anything else. */
export function pathOfText(text: unknown): Path | undefined {
  const inside = typeof text === "string" ? /^\{\{\s*([A-Za-z_]\w*)(.*?)\s*\}\}$/s.exec(text.trim()) : null;
  if (inside === null) return undefined;
  const [, root = "", rest = ""] = inside;
  const path: Path = [root];
  PART.lastIndex = 0;
  while (PART.lastIndex < rest.length) {
    const found = PART.exec(rest);
    if (found === null) return undefined;
    const [, name, quoted, number] = found;
    path.push(name ?? (quoted !== undefined ? (JSON.parse(quoted) as string) : Number(number)));
  }
  return path;
}

/** Return the value at the path, perhaps undefined; null if it is unknown. */
export function valueAt(scope: Scope, path: Path): { value: Json | undefined } | null {
  const [root, ...rest] = path;
  let value: Json | undefined;
  let parts = rest;
  if (root === "steps") {
    const step = scope.steps.find((one) => one.id === rest[0]);
    if (step === undefined || rest.length === 0) return null;
    value = step.output;
    parts = rest.slice(1);
  } else if (root === "input") value = scope.input;
  else if (root === "trigger") value = scope.trigger;
  else if (root === "vars") value = scope.vars ?? {};
  else if (root === "item") value = scope.item;
  else return null;
  for (const part of parts) value = partOf(value, part);
  return { value };
}

function partOf(value: Json | undefined, part: string | number): Json | undefined {
  if (Array.isArray(value)) return typeof part === "number" ? value.at(part) : undefined;
  if (typeof value !== "object" || value === null) return undefined;
  return Object.hasOwn(value, String(part)) ? value[String(part)] : undefined;
}

/** Return a value in brief, to show beside its name. */
export function brief(value: Json | undefined, most = 40): string {
  if (value === undefined) return "";
  if (Array.isArray(value)) return `list (${value.length})`;
  if (value !== null && typeof value === "object") return `{${Object.keys(value).slice(0, 4).join(", ")}}`;
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}
