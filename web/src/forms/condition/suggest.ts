/** Fields to offer in a condition: the paths of the data of the last run. */
import type { Json } from "@/definition/types";
import { type Path, pathText, type Scope, valueAt } from "../expression/scope";

const MOST = 150;
const DEEP = 4;

export interface Suggestion {
  text: string;
  value: Json | undefined;
}

function collect(path: Path, value: Json | undefined, found: Suggestion[]): void {
  if (found.length >= MOST) return;
  found.push({ text: pathText(path), value });
  if (path.length > DEEP || typeof value !== "object" || value === null || Array.isArray(value)) return;
  for (const [key, one] of Object.entries(value)) collect([...path, key], one, found);
}

/** Return the paths in the data, nearest first. */
export function suggestionsOf(scope: Scope, perItem: boolean): Suggestion[] {
  const found: Suggestion[] = [];
  if (perItem) {
    collect(["item"], scope.item, found);
    found.push({ text: "index", value: undefined });
  }
  collect(["input"], scope.input, found);
  for (const step of scope.steps) collect(["steps", step.id], step.output, found);
  collect(["trigger"], scope.trigger, found);
  for (const [name, value] of Object.entries(scope.vars ?? {})) collect(["vars", name], value, found);
  return found.slice(0, MOST);
}

const STEP = /\.([A-Za-z_]\w*)|\[\s*(?:"((?:[^"\\]|\\.)*)"|'([^'\\]*)'|(-?\d+))\s*\]/gy;

/** Return the path that the text is; undefined for any other expression. */
export function pathOf(text: string): Path | undefined {
  const root = /^[A-Za-z_]\w*/.exec(text)?.[0];
  if (root === undefined) return undefined;
  const path: Path = [root];
  STEP.lastIndex = root.length;
  let end = root.length;
  while (end < text.length) {
    const found = STEP.exec(text);
    if (found === null) return undefined;
    const [, name, double, single, number] = found;
    if (number !== undefined) path.push(Number(number));
    else path.push(name ?? single ?? double?.replace(/\\(.)/g, "$1") ?? "");
    end = STEP.lastIndex;
  }
  return path;
}

/** Return the value of a field in the last run; undefined if the text is not a path, or the value is unknown. */
export function valueIn(text: string, scope: Scope): Json | undefined {
  const path = pathOf(text.trim());
  return path === undefined ? undefined : valueAt(scope, path)?.value;
}
