/** Values of settings: detect expressions, and convert plain values to expressions and back. */
import type { Json } from "@/definition/types";

/** Return true if the text contains an expression. */
export function holdsExpression(value: unknown): boolean {
  return typeof value === "string" && value.includes("{{");
}

const MOST = 500;

/** Return an expression that evaluates to a plain value. */
export function asExpression(value: Json | undefined): string {
  if (value === undefined || value === "") return "";
  if (typeof value === "string" && holdsExpression(value)) return value;
  const literal = JSON.stringify(value);
  return literal.length > MOST ? "" : `{{ ${literal} }}`;
}

/** Return the plain value of a literal expression such as `{{ 5 }}`; undefined if it must be evaluated. */
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

/** Return the items of a list. A single value counts as a list of one. */
export function listOf(value: Json | undefined): Json[] {
  if (Array.isArray(value)) return value;
  return value === undefined || value === null || value === "" ? [] : [value];
}

/** Return the object without undefined values, at any depth; the same object if there are none. */
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

/** Return the name of a value's type. */
export function typeName(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return value.length === 1 ? "list (1 item)" : `list (${value.length} items)`;
  switch (typeof value) {
    case "string":
      return "text";
    case "boolean":
      return "boolean";
    case "object":
      return "object";
    default:
      return typeof value;
  }
}
