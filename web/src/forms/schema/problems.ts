/** Assign the server's problems with a definition to the fields of one node. */
import type { ErrorSchema } from "@rjsf/utils";
import type { FieldSchema } from "./types";
import { isRecord } from "./values";

export interface Problem {
  /** The path: `nodes[1].config.headers.X-Key`, or from the config on: `config.url`, `url`. */
  path: string;
  message: string;
}

/** Split `a.b[0].c` into a, b, 0, c. */
export function tokens(path: string): string[] {
  return path
    .replace(/\[(\d+)\]/g, ".$1")
    .split(".")
    .filter((part) => part !== "");
}

/** Return the path within the node's config; undefined if the problem is outside it. */
export function withinConfig(path: string): string[] | undefined {
  const parts = tokens(path);
  if (parts[0] === "nodes") return parts[2] === "config" ? parts.slice(3) : undefined;
  return parts[0] === "config" ? parts.slice(1) : parts;
}

/** Return the titles on the way to a setting: "Pagination › Size"; undefined if the schema does not have it. */
export function titleOf(schema: FieldSchema | undefined, path: readonly string[]): string | undefined {
  const [first, ...rest] = path;
  const setting = first === undefined ? undefined : schema?.properties?.[first];
  if (first === undefined || setting === undefined) return undefined;
  const title = setting.title ?? first;
  if (rest.length === 0) return title;
  return `${title} › ${titleOf(setting, rest) ?? rest.join(".")}`;
}

const REQUIRED = /^is required\b/;

/** Return a problem with the title of its setting: "Path is required", "Timeout: must be at most 60". */
export function withTitle(title: string, message: string): string {
  return REQUIRED.test(message) ? `${title} ${message}` : `${title}: ${message}`;
}

/** Return the problem as its field shows it, below its label: "Path is required", "must be at most 60". */
export function belowField(schema: FieldSchema, { path, message }: Problem): Problem {
  const title = titleOf(schema, withinConfig(path) ?? []);
  return title !== undefined && REQUIRED.test(message)
    ? { path, message: withTitle(title, message) }
    : { path, message };
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce(
    (at, part) => (isRecord(at) || Array.isArray(at) ? (at as Record<string, unknown>)[part] : undefined),
    value,
  );
}

const ONE_LINE = / \(line 1, column \d+\)$/;

/** Return the message without its place in a text of one line, which says nothing to a user. */
export function withoutPlace(message: string, text: unknown): string {
  return typeof text === "string" && !text.includes("\n") ? message.replace(ONE_LINE, "") : message;
}

/** Return the problem at the value that its message names, such as `a: …` within the setting `values`. */
export function atValue(config: unknown, { path, message }: Problem): Problem {
  const [, inner = "", rest = ""] = /^([^:\s]+): (.*)$/s.exec(message) ?? [];
  const setting = withinConfig(path) ?? [];
  const text = inner === "" ? undefined : valueAt(config, [...setting, ...tokens(inner)]);
  if (text !== undefined) return { path: `${path}.${inner}`, message: withoutPlace(rest, text) };
  return { path, message: withoutPlace(message, valueAt(config, setting)) };
}

/** A problem with its path in the form. */
export interface Placed {
  path: readonly string[];
  message: string;
}

interface Sorted {
  /** Errors in the form library's format. */
  errors: ErrorSchema;
  /** Problems without a form field. */
  others: Problem[];
}

interface Errors {
  [key: string]: Errors | string[] | undefined;
}

/** Return the field of each problem: the top-level setting, if `known`, or a deeper one. */
export function sortProblems(problems: readonly Problem[], known: (key: string) => boolean): Sorted {
  const placed: Placed[] = [];
  const others: Problem[] = [];
  for (const problem of problems) {
    const path = withinConfig(problem.path);
    const first = path?.[0];
    if (path === undefined || first === undefined || !known(first)) others.push(problem);
    else placed.push({ path, message: problem.message });
  }
  return { errors: errorsOf(placed), others };
}

/** Return the problems in the form library's format. */
export function errorsOf(problems: readonly Placed[]): ErrorSchema {
  const errors: Errors = {};
  for (const { path, message } of problems) {
    let at = errors;
    for (const part of path) {
      const next = at[part];
      const inner: Errors = next === undefined || Array.isArray(next) ? {} : next;
      at[part] = inner;
      at = inner;
    }
    const list = at.__errors;
    at.__errors = Array.isArray(list) ? [...list, message] : [message];
  }
  return errors as ErrorSchema;
}

/** Return all messages of a part of the form, deeper ones with their path. */
export function messagesOf(errors: ErrorSchema | undefined, place = ""): string[] {
  if (errors === undefined) return [];
  const found: string[] = [];
  for (const [key, inner] of Object.entries(errors as Record<string, unknown>)) {
    if (key !== "__errors") {
      found.push(...messagesOf(inner as ErrorSchema | undefined, place ? `${place}.${key}` : key));
      continue;
    }
    // The library clears a field's errors when the field changes.
    const own = (inner as string[] | undefined) ?? [];
    found.push(...own.map((text) => (place ? `${place}: ${text}` : text)));
  }
  return found;
}
