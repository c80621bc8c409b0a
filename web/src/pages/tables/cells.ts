/** Cells of tables as text, and filters of rows; pure. */
import type { Schemas } from "@/api/client";

export type TableInfo = Schemas["TableOut"];
export type Column = TableInfo["columns"][number];
export type Kind = Column["type"];
export type Row = Schemas["RowOut"];
export type Value = unknown;

export const KINDS: { value: Kind; label: string }[] = [
  { value: "text", label: "Text" },
  { value: "number", label: "Number" },
  { value: "boolean", label: "Yes or no" },
  { value: "date", label: "Date and time" },
  { value: "json", label: "JSON" },
];

export interface Condition {
  column: string;
  operator: string;
  value: string;
}

const COMPARISONS = [
  { value: "eq", label: "is" },
  { value: "ne", label: "is not" },
  { value: "gt", label: "is greater than" },
  { value: "gte", label: "is at least" },
  { value: "lt", label: "is less than" },
  { value: "lte", label: "is at most" },
];
const TEXTS = [
  { value: "contains", label: "contains" },
  { value: "starts_with", label: "starts with" },
];
const EMPTY = [
  { value: "empty", label: "is empty" },
  { value: "not_empty", label: "is not empty" },
];

/** Return the operators for a column of this type. */
export function operatorsOf(kind: Kind): { value: string; label: string }[] {
  if (kind === "json") return [{ value: "contains", label: "contains" }, ...EMPTY];
  if (kind === "boolean") return [...COMPARISONS.slice(0, 2), ...EMPTY];
  if (kind === "text") return [...TEXTS, ...COMPARISONS.slice(0, 2), ...EMPTY];
  return [...COMPARISONS, ...EMPTY];
}

export function needsValue(operator: string): boolean {
  return operator !== "empty" && operator !== "not_empty";
}

/** Return the query parameter `filter`; undefined without complete conditions. */
export function filterOf(conditions: readonly Condition[]): string | undefined {
  const complete = conditions.filter(({ operator, value }) => !needsValue(operator) || value !== "");
  return complete.length === 0 ? undefined : JSON.stringify(complete);
}

/** Return a cell as text to show. */
export function shown(kind: Kind, value: Value): string {
  if (value === null || value === undefined) return "";
  if (kind === "boolean") return value === true ? "Yes" : "No";
  if (kind === "date")
    return String(value)
      .replace("T", " ")
      .replace(/(:00)?\.000Z$|Z$/, "");
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Return a cell as text to edit. */
export function editable(kind: Kind, value: Value): string {
  if (value === null || value === undefined) return "";
  if (kind === "json") return JSON.stringify(value);
  return shown(kind, value);
}

/** Return what to send for an edited text: the server converts it by the type of the column. */
export function entered(kind: Kind, text: string): Value {
  if (text === "" && kind !== "text") return null;
  if (kind === "date" && /^\d{4}-\d\d-\d\d \d\d:\d\d/.test(text.trim())) return text.trim().replace(" ", "T");
  return text;
}

/** Return the next value of a yes-or-no cell: empty and no become yes. */
export function toggled(value: Value): boolean {
  return value !== true;
}

/** Return the next order by a column: ascending, descending, none. */
export function nextSort(sort: string, name: string): string {
  if (sort === name) return `-${name}`;
  return sort === `-${name}` ? "" : name;
}

/** Return the headers in the first line of a CSV file, and their separator. */
export function headersOf(text: string): string[] {
  const line = text.replace(/^\ufeff/, "").split(/\r?\n/, 1)[0] ?? "";
  const separator = [",", ";", "\t", "|"].reduce((best, one) =>
    line.split(one).length > line.split(best).length ? one : best,
  );
  const found: string[] = [];
  for (const part of line.matchAll(new RegExp(`(?:^|\\${separator})(?:"((?:[^"]|"")*)"|([^\\${separator}]*))`, "g"))) {
    found.push((part[1]?.replaceAll('""', '"') ?? part[2] ?? "").trim());
  }
  return found;
}
