/** Values of settings: what counts as an expression, and from a plain value to one and back. */
import type { Json } from "@/definition/types";

/** Whether text holds an expression somewhere. */
export function holdsExpression(value: unknown): boolean {
  return typeof value === "string" && value.includes("{{");
}

const MOST = 500;

/** A plain value as an expression that gives it. */
export function asExpression(value: Json | undefined): string {
  if (value === undefined || value === "") return "";
  if (typeof value === "string" && holdsExpression(value)) return value;
  const literal = JSON.stringify(value);
  return literal.length > MOST ? "" : `{{ ${literal} }}`;
}

/** The plain value that an expression writes out, such as `{{ 5 }}`; undefined where it is to be worked out. */
export function asPlain(text: string): Json | undefined {
  const inside = /^\{\{\s*(.*?)\s*\}\}$/s.exec(text)?.[1];
  if (inside === undefined || inside.includes("{{")) return undefined;
  try {
    return JSON.parse(inside) as Json;
  } catch {
    return undefined;
  }
}

export function isRecord(value: unknown): value is Record<string, Json> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The object without keys whose value is undefined, at any depth; the same object where there is none. */
export function withoutHoles<T>(value: T): T {
  if (Array.isArray(value)) {
    const items = value.map(withoutHoles);
    return items.every((item, at) => item === value[at]) ? value : (items as T);
  }
  if (!isRecord(value)) return value;
  let changed = false;
  const made: Record<string, unknown> = {};
  for (const [key, one] of Object.entries(value as Record<string, unknown>)) {
    const kept = withoutHoles(one);
    if (kept !== one || one === undefined) changed = true;
    if (kept !== undefined) made[key] = kept;
  }
  return changed ? (made as T) : value;
}

/** The name of a value's type, as people say it. */
export function typeName(value: unknown): string {
  if (value === null) return "nothing";
  if (Array.isArray(value)) return value.length === 1 ? "list of 1" : `list of ${value.length}`;
  switch (typeof value) {
    case "string":
      return "text";
    case "boolean":
      return "true or false";
    case "object":
      return "object";
    default:
      return typeof value;
  }
}
