/** Values of settings: detect expressions, and convert plain values to expressions and back. */
import type { Json } from "@/definition/types";
import type { FieldSchema } from "./types";

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

// The initial value of a form that asks for an input; pure.

/** Return the initial value of a required field; undefined for none. */
function beginning(schema: FieldSchema): Json | undefined {
  if (schema.default !== undefined) return schema.default;
  if (schema.const !== undefined) return schema.const;
  if (schema.properties !== undefined) return initialOf(schema);
  switch (schema.type) {
    case "boolean": // A switch that is off means false.
      return false;
    case "array":
      return [];
    default:
      return undefined;
  }
}

/** Return the initial value of an object: its defaults, and its required parts. */
export function initialOf(schema: FieldSchema): Record<string, Json> {
  const required = new Set(schema.required ?? []);
  const made: Record<string, Json> = {};
  for (const [name, one] of Object.entries(schema.properties ?? {})) {
    const value = required.has(name) ? beginning(one) : one.default;
    if (value !== undefined) made[name] = value;
  }
  return made;
}

/** Convert times between JSON, with a UTC offset, and the browser's inputs, in local time. */

const two = (number: number) => String(number).padStart(2, "0");

/** Return a time for `datetime-local`; empty for an invalid one. */
export function localOf(value: string): string {
  const at = new Date(value);
  if (Number.isNaN(at.getTime())) return "";
  const day = `${String(at.getFullYear()).padStart(4, "0")}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const seconds = at.getSeconds() === 0 ? "" : `:${two(at.getSeconds())}`;
  return `${day}T${two(at.getHours())}:${two(at.getMinutes())}${seconds}`;
}

/** Convert the input's value to UTC; undefined if it is empty. */
export function instantOf(local: string): string | undefined {
  const at = new Date(local);
  return Number.isNaN(at.getTime()) ? undefined : at.toISOString().replace(".000Z", "Z");
}
