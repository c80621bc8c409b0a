/** A value as a table: the items of a list are rows, their keys are columns; pure. */
import { isObject, type Path } from "./kinds";

/** A column is a key of the items; null is the item itself, for items that are not objects. */
export type Column = string | null;

export interface Table {
  rows: readonly unknown[];
  columns: Column[];
  /** The number of columns that are not shown. */
  more: number;
}

export const MAX_COLUMNS = 60;

/** Return the table of a list or an object; an object is one row. */
export function tableOf(value: unknown): Table {
  const rows = Array.isArray(value) ? value : [value];
  const keys = new Set<string>();
  let hasOthers = false;
  for (const row of rows) {
    if (isObject(row)) for (const key of Object.keys(row)) keys.add(key);
    else hasOthers = true;
  }
  const all: Column[] = [...(hasOthers || keys.size === 0 ? [null] : []), ...keys];
  return { rows, columns: all.slice(0, MAX_COLUMNS), more: Math.max(0, all.length - MAX_COLUMNS) };
}

export function cellOf(row: unknown, column: Column): unknown {
  if (column === null) return isObject(row) ? undefined : row;
  return isObject(row) ? row[column] : undefined;
}

/** Return the indexes of the rows that contain the text, in any letter case. */
export function rowsWith(rows: readonly unknown[], query: string): number[] | null {
  const wanted = query.toLowerCase();
  if (wanted === "") return null;
  const found: number[] = [];
  rows.forEach((row, at) => {
    if (contains(row, wanted)) found.push(at);
  });
  return found;
}

function contains(value: unknown, wanted: string): boolean {
  if (Array.isArray(value)) return value.some((one) => contains(one, wanted));
  if (isObject(value)) return Object.values(value).some((one) => contains(one, wanted));
  return String(value).toLowerCase().includes(wanted);
}

export interface ListPlace {
  path: Path;
  items: number;
}

const MAX_VISITED = 500;
const MAX_DEPTH = 4;

/** Return the lists of objects within an object, for a choice of the list that the table shows. */
export function listsIn(value: unknown): ListPlace[] {
  const found: ListPlace[] = [];
  let visited = 0;
  function visit(one: unknown, path: Path) {
    visited += 1;
    if (visited > MAX_VISITED) return;
    if (Array.isArray(one)) {
      if (one.some(isObject)) found.push({ path, items: one.length });
    } else if (isObject(one) && path.length < MAX_DEPTH) {
      for (const [key, inner] of Object.entries(one)) visit(inner, [...path, key]);
    }
  }
  if (isObject(value)) visit(value, []);
  return found;
}

/** Return the value without the part at this path, as a copy. */
export function without(value: unknown, [key, ...rest]: Path): unknown {
  if (!isObject(value) || key === undefined) return value;
  const { [key]: inner, ...others } = value;
  const left = rest.length > 0 ? without(inner, rest) : undefined;
  return isObject(left) && Object.keys(left).length > 0 ? { ...others, [key]: left } : others;
}

export function valueIn(value: unknown, path: Path): unknown {
  let found = value;
  for (const part of path) {
    if (Array.isArray(found) && typeof part === "number") found = found[part];
    else found = isObject(found) && Object.hasOwn(found, String(part)) ? found[String(part)] : undefined;
  }
  return found;
}

const CHARACTER = 7.5;
const SAMPLE = 40;

/** Return the widths of the columns in pixels, by their names and the first rows' texts. */
export function widthsOf(table: Table, textOf: (value: unknown) => string): number[] {
  const sample = table.rows.slice(0, SAMPLE);
  return table.columns.map((column) => {
    const longest = sample.reduce<number>(
      (most, row) => Math.max(most, textOf(cellOf(row, column)).length),
      (column ?? "Value").length + 3,
    );
    return Math.round(Math.min(Math.max(longest, 7), 34) * CHARACTER) + 20;
  });
}
