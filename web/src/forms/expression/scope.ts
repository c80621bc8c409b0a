/** The names that an expression can read, with their values in the last run as far as known. */
import type { Definition, FlowNode, Json } from "@/definition/types";

interface StepKnown {
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
  /** The only node directly before this one: its output is the input. */
  only?: string;
  /** True if `item` and `index` exist. */
  perItem: boolean;
  item?: Json;
  /** The path of the list whose items they are, if it is a plain path. */
  list?: Path;
  /** The same of the settings that are evaluated for each item of a list of their own. */
  each?: Items;
}

type Items = Pick<Scope, "item" | "list">;

/** Return the items of a list, as its setting gives it: a list, or an expression. */
export function itemsOf(scope: Scope, setting: Json | undefined): Items {
  const list = pathOfText(setting);
  const value = list === undefined ? setting : valueAt(scope, list)?.value;
  return { list, item: Array.isArray(value) ? value[0] : undefined };
}

/** Return what one setting of the node can read. */
export function scopeOf(scope: Scope, perItem: boolean): Scope {
  return perItem ? { ...scope, perItem, ...scope.each } : scope;
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

// The nodes whose outputs a node can read, and its input from its direct predecessors.

export function predecessors(definition: Pick<Definition, "edges">, id: string): string[] {
  return [...new Set(definition.edges.filter((edge) => edge.to === id).map((edge) => edge.from))];
}

/** Return all nodes before this one, direct predecessors first. */
export function nodesBefore(definition: Definition, id: string): FlowNode[] {
  const byId = new Map(definition.nodes.map((node) => [node.id, node]));
  const seen = new Set([id]);
  const found: FlowNode[] = [];
  let row = [id];
  while (row.length > 0) {
    const next: string[] = [];
    for (const one of row) {
      for (const other of predecessors(definition, one)) {
        if (seen.has(other)) continue;
        seen.add(other);
        next.push(other);
        const node = byId.get(other);
        if (node !== undefined) found.push(node);
      }
    }
    row = next;
  }
  return found;
}

/** Return the input made from outputs: the only one, or an object of several by node id. */
export function inputOf(before: readonly string[], outputs: Record<string, Json>): Json | undefined {
  const known = before.filter((id) => outputs[id] !== undefined);
  const [only] = known;
  if (only === undefined) return undefined;
  if (before.length === 1) return outputs[only];
  return Object.fromEntries(known.map((id) => [id, outputs[id] as Json]));
}

// Picked fields: dragged from the data of a run, or inserted into the setting that had the focus last.

const FORMAT = "application/x-headrace-path";

interface Dragged {
  dataTransfer: DataTransfer | null;
}

/** Put the path into the drag, and its expression for fields outside the form. */
export function startDrag(event: Dragged, path: Path): void {
  if (event.dataTransfer === null) return;
  event.dataTransfer.setData(FORMAT, JSON.stringify(path));
  event.dataTransfer.setData("text/plain", `{{ ${pathText(path)} }}`);
  event.dataTransfer.effectAllowed = "copy";
}

/** Return true if the drag has a path. Its value is readable only when it is dropped. */
export function dragsPath(event: Dragged): boolean {
  return event.dataTransfer?.types.includes(FORMAT) ?? false;
}

export function droppedPath(event: Dragged): Path | undefined {
  const text = event.dataTransfer?.getData(FORMAT) ?? "";
  return text === "" ? undefined : (JSON.parse(text) as Path);
}

/**
 * Return the path as this setting sees it: for each item of a list, a field of one of them is a field of `item`. The
 * input may also be named as the output of the only node before.
 */
export function pathIn({ perItem, list, only }: Pick<Scope, "perItem" | "list" | "only">, path: Path): Path {
  if (!perItem || list === undefined) return path;
  const asInput = (one: Path) =>
    only !== undefined && one[0] === "steps" && one[1] === only ? ["input", ...one.slice(2)] : one;
  const [of, at] = [asInput(list), asInput(path)];
  const isItem = of.every((part, place) => at[place] === part) && typeof at[of.length] === "number";
  return isItem ? ["item", ...at.slice(of.length + 1)] : path;
}

type Insert = (path: Path) => void;

let target: Insert | null = null;

/** Remember the setting that has the focus. */
export function setTarget(insert: Insert): void {
  target = insert;
}

/** Forget it when its form disappears. */
export function clearTarget(insert: Insert): void {
  if (target === insert) target = null;
}

/** Insert the path into the setting that had the focus last. Return false if there is none. */
export function insertPicked(path: Path): boolean {
  target?.(path);
  return target !== null;
}
