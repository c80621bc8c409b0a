/** The types of a free value: how to detect them, and how to convert between them. */
import type { Json } from "@/definition/types";
import { isRecord } from "./values";

export type Shape = "text" | "number" | "boolean" | "object" | "list" | "null";

export const SHAPES: { shape: Shape; label: string }[] = [
  { shape: "text", label: "Text or expression" },
  { shape: "number", label: "Number" },
  { shape: "boolean", label: "Boolean" },
  { shape: "object", label: "Object" },
  { shape: "list", label: "List" },
  { shape: "null", label: "Null" },
];

export function shapeOf(value: Json | undefined): Shape {
  if (value === null) return "null";
  if (Array.isArray(value)) return "list";
  switch (typeof value) {
    case "number":
      return "number";
    case "boolean":
      return "boolean";
    case "object":
      return "object";
    default:
      return "text";
  }
}

function asText(value: Json | undefined): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

function parsed(value: Json | undefined): Json | undefined {
  if (typeof value !== "string") return value;
  try {
    return JSON.parse(value) as Json;
  } catch {
    return undefined;
  }
}

/** Convert the value to another type, keeping as much as possible. */
export function reshape(value: Json | undefined, shape: Shape): Json {
  const read = parsed(value);
  switch (shape) {
    case "text":
      return asText(value);
    case "number":
      return typeof read === "number" ? read : 0;
    case "boolean":
      return typeof read === "boolean" ? read : false;
    case "object":
      return isRecord(read) ? read : {};
    case "list":
      if (Array.isArray(read)) return read;
      return value === undefined || value === null || value === "" ? [] : [value];
    case "null":
      return null;
  }
}

export interface Row {
  id: number;
  key: string;
  value: Json;
}

/** Return the object made from rows: rows without a name are dropped; of two with the same name the first counts. */
export function objectOf(rows: readonly Row[]): Record<string, Json> {
  const made: Record<string, Json> = {};
  for (const { key, value } of rows) {
    if (key !== "" && !Object.hasOwn(made, key)) made[key] = value;
  }
  return made;
}

/** Return the problem of a row's name. */
export function rowFault(rows: readonly Row[], row: Row): string | undefined {
  if (row.key === "") return row.value === "" ? undefined : "Enter a name";
  return rows.find((one) => one.key === row.key) === row ? undefined : "This name is already used";
}

/** Return the list with one item moved by one. */
export function moved<T>(items: readonly T[], at: number, by: -1 | 1): T[] {
  const made = [...items];
  const to = at + by;
  const item = made[at];
  const other = made[to];
  if (item === undefined || other === undefined) return made;
  made[at] = other;
  made[to] = item;
  return made;
}
