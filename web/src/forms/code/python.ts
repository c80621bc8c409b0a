/** Completion of Python in a code setting: names of the node, fields of the data of the last run, builtins. Pure. */
import type { Json } from "@/definition/types";
import { brief, type Path, type Scope, valueAt } from "../expression/scope";
import builtins from "./builtins.json";

export interface PythonOption {
  label: string;
  insert: string;
  detail: string;
  type: "variable" | "property" | "function";
  /** The text after the cursor to replace, as of a closing quote and bracket. */
  boost: number;
}

export interface PythonCompletion {
  from: number;
  options: PythonOption[];
}

const CHAIN = String.raw`([A-Za-z_]\w*(?:\[(?:"[^"\]]*"|'[^'\]]*'|-?\d+)\])*)`;
const IN_KEY = new RegExp(`${CHAIN}\\[(["'])([^"'\\]]*)$`);
const AFTER_DOT = new RegExp(`(?:^|[^\\w.])${CHAIN}\\.(\\w*)$`);
const STEP = /\[(?:"([^"]*)"|'([^']*)'|(-?\d+))\]/g;
const METHODS: Record<string, string[]> = {
  object: ["get", "items", "keys", "values"],
  list: ["append", "count", "index", "sort"],
  text: ["endswith", "join", "lower", "replace", "split", "startswith", "strip", "upper"],
};

function pathOf(chain: string): Path {
  const root = /^\w+/.exec(chain)?.[0] ?? "";
  const steps = [...chain.slice(root.length).matchAll(STEP)];
  return [
    root,
    ...steps.map(([, double, single, number]) => (number === undefined ? (double ?? single ?? "") : Number(number))),
  ];
}

/** Return a path in Python: `input["items"][0]`. */
export function pythonPath(path: Path): string {
  return path.map((part, at) => (at === 0 ? part : `[${JSON.stringify(part)}]`)).join("");
}

function valueOfChain(chain: string, scope: Scope): Json | undefined {
  const path = pathOf(chain);
  if (path[0] === "steps" && path.length === 1) {
    return Object.fromEntries(scope.steps.map((step) => [step.id, step.output ?? null]));
  }
  return valueAt(scope, path)?.value;
}

function kindOf(value: Json | undefined): string | undefined {
  if (typeof value === "string") return "text";
  if (Array.isArray(value)) return "list";
  return typeof value === "object" && value !== null ? "object" : undefined;
}

function keysOf(value: Json | undefined): [string, Json][] {
  return kindOf(value) === "object" ? Object.entries(value as Record<string, Json>) : [];
}

/** Return the completions at the end of `before`; null if nothing is known. `names` are the names that the node provides. */
export function completePython(before: string, names: readonly string[], scope: Scope): PythonCompletion | null {
  const key = IN_KEY.exec(before);
  if (key !== null) {
    const [, chain = "", quote = '"', part = ""] = key;
    const options = keysOf(valueOfChain(chain, scope)).map(
      ([name, value]): PythonOption => ({
        label: name,
        insert: `${name}${quote}]`,
        detail: brief(value),
        type: "property",
        boost: 3,
      }),
    );
    return options.length === 0 ? null : { from: before.length - part.length, options };
  }
  const dot = AFTER_DOT.exec(before);
  if (dot !== null) {
    const [, chain = "", part = ""] = dot;
    const value = valueOfChain(chain, scope);
    const from = before.length - part.length - 1;
    const fields = keysOf(value).map(
      ([name, one]): PythonOption => ({
        label: `["${name}"]`,
        insert: `[${JSON.stringify(name)}]`,
        detail: brief(one),
        type: "property",
        boost: 3,
      }),
    );
    const methods = (METHODS[kindOf(value) ?? ""] ?? []).map(
      (name): PythonOption => ({
        label: `.${name}()`,
        insert: `.${name}()`,
        detail: "",
        type: "function",
        boost: 1,
      }),
    );
    return fields.length + methods.length === 0 ? null : { from, options: [...fields, ...methods] };
  }
  const word = /(?<![\w.])[A-Za-z_]\w*$/.exec(before)?.[0];
  if (word === undefined) return null;
  return {
    from: before.length - word.length,
    options: [
      ...names.map(
        (name): PythonOption => ({
          label: name,
          insert: name,
          detail: brief(valueOfChain(name, scope)),
          type: "variable",
          boost: 2,
        }),
      ),
      ...builtins.map((name): PythonOption => ({ label: name, insert: name, detail: "", type: "function", boost: 0 })),
    ],
  };
}

const LINE = /^(?:code: )?line (\d+): (.*)$/s;

/** Return the line of a problem with code, from 1, and its text; undefined if it has no line. */
export function faultOf(message: string): { line: number; text: string } | undefined {
  const found = LINE.exec(message);
  return found === null ? undefined : { line: Number(found[1]), text: found[2] ?? "" };
}
