/** Problems that the server found in a definition, brought to the fields of one node. */
import type { ErrorSchema } from "@rjsf/utils";

export interface Problem {
  /** Where: `nodes[1].config.headers.X-Key`, or from the config on: `config.url`, `url`. */
  path: string;
  message: string;
}

/** `a.b[0].c` as a, b, 0, c. */
export function tokens(path: string): string[] {
  return path
    .replace(/\[(\d+)\]/g, ".$1")
    .split(".")
    .filter((part) => part !== "");
}

/** The path within the node's config; undefined where the problem is not with the config. */
export function withinConfig(path: string): string[] | undefined {
  const parts = tokens(path);
  if (parts[0] === "nodes") return parts[2] === "config" ? parts.slice(3) : undefined;
  return parts[0] === "config" ? parts.slice(1) : parts;
}

/** A problem with its place in the form, part by part. */
export interface Placed {
  path: readonly string[];
  message: string;
}

interface Sorted {
  /** As the form library takes them. */
  errors: ErrorSchema;
  /** Those that belong to no field of the form. */
  others: Problem[];
}

interface Errors {
  [key: string]: Errors | string[] | undefined;
}

/** Which field each problem is shown at: the top-level setting `known` says there is, or deeper. */
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

/** The problems as the form library takes them. */
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

/** All messages of a part of the form, deeper ones with their place. */
export function messagesOf(errors: ErrorSchema | undefined, place = ""): string[] {
  if (errors === undefined) return [];
  const found: string[] = [];
  for (const [key, inner] of Object.entries(errors as Record<string, unknown>)) {
    if (key !== "__errors") {
      found.push(...messagesOf(inner as ErrorSchema | undefined, place ? `${place}.${key}` : key));
      continue;
    }
    // The library empties what a field had against it when the field changes.
    const own = (inner as string[] | undefined) ?? [];
    found.push(...own.map((text) => (place ? `${place}: ${text}` : text)));
  }
  return found;
}
