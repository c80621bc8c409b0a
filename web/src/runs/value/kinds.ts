/** Types and short texts of values, for tables and lists of fields; pure. */

import { createContext, type DragEvent as ReactDragEvent, useContext } from "react";
import { count } from "@/ui/format";

export type Path = (string | number)[];
export type Kind = "text" | "number" | "boolean" | "null" | "object" | "list";

export function kindOf(value: unknown): Kind {
  if (value === null || value === undefined) return "null";
  if (Array.isArray(value)) return "list";
  if (typeof value === "object") return "object";
  if (typeof value === "string") return "text";
  return typeof value === "boolean" ? "boolean" : "number";
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return kindOf(value) === "object";
}

function plural(number: number, one: string): string {
  return `${count(number)} ${one}${number === 1 ? "" : "s"}`;
}

/** Return the size of a value in words: "25 items", "3 fields"; undefined if there is nothing to count. */
export function sizeText(value: unknown): string | undefined {
  if (Array.isArray(value)) return plural(value.length, "item");
  if (isObject(value)) return plural(Object.keys(value).length, "field");
  return typeof value === "string" && value.length > 80 ? plural(value.length, "character") : undefined;
}

const MAX_TEXT = 120;
const MAX_PARTS = 6;
const MAX_DEPTH = 2;

/** Return a value on one line, cut if it is long: "name: Ada, tags: a, b", "3 items". Only a part of it is read. */
export function briefText(value: unknown, most = MAX_TEXT): string {
  const text = textAt(value, 0, most);
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

function textAt(value: unknown, depth: number, most: number): string {
  if (typeof value === "string") return value.slice(0, most + 1).replace(/\s+/g, " ");
  if (Array.isArray(value)) {
    const isNested = value.slice(0, MAX_PARTS).some((one) => typeof one === "object" && one !== null);
    if (isNested || depth >= MAX_DEPTH || value.length === 0) return plural(value.length, "item");
    return joined(value.slice(0, MAX_PARTS).map(String), value.length);
  }
  if (!isObject(value)) return String(value ?? null);
  const keys = Object.keys(value);
  if (depth >= MAX_DEPTH || keys.length === 0) return plural(keys.length, "field");
  const parts = keys.slice(0, MAX_PARTS).map((key) => `${key}: ${textAt(value[key], depth + 1, most)}`);
  return joined(parts, keys.length);
}

function joined(parts: string[], all: number): string {
  return parts.join(", ") + (all > parts.length ? ", …" : "");
}

// Fields that can be picked: dragged or inserted into a setting. Only the editor offers this.

export interface Picking {
  /** Return the expression of the field at this path of the shown value. */
  expressionOf: (path: Path) => string;
  /** Insert the expression into the setting that had the focus last. */
  insert: (path: Path) => void;
  onDragStart: (event: Pick<DragEvent, "dataTransfer">, path: Path) => void;
}

const PickingContext = createContext<Picking | null>(null);
export const PickingProvider = PickingContext.Provider;

export function usePicking(): Picking | null {
  return useContext(PickingContext);
}

/** Return the properties that make an element draggable into a setting; none where nothing can be picked. */
export function draggable(picking: Picking | null, path: Path) {
  if (picking === null) return {};
  return {
    draggable: true,
    onDragStart: (event: ReactDragEvent) => picking.onDragStart(event, path),
    title: `Insert ${picking.expressionOf(path)}`,
  };
}
