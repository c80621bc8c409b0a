/** The request for the choices of an input, or the reason why none can be made; pure. */
import type { Choice } from "@/api/connectors";
import type { Json } from "@/definition/types";
import { wordsOf } from "@/ui/match";
import type { FieldSchema, OptionsSource } from "../schema/types";
import { holdsExpression } from "../schema/values";

/** The settings that a choice depends on, besides its own inputs. */
const ALSO = ["credential", "address"] as const;

export function isEmpty(value: Json | undefined): boolean {
  return value === undefined || value === null || value === "";
}

/** Return true if an expression is anywhere in the value. */
function isComputed(value: Json | undefined): boolean {
  if (typeof value === "object" && value !== null) return Object.values(value).some((one) => isComputed(one as Json));
  return holdsExpression(value);
}

/**
 * Return the settings for the request, or the reason why none can be made. `needsCredential`: the service requires
 * one.
 */
export function askedOf(
  source: OptionsSource,
  config: Record<string, Json>,
  needsCredential: boolean,
  schema: FieldSchema,
): { config: Record<string, Json> } | { reason: string } {
  if (needsCredential && isEmpty(config.credential)) return { reason: "Connect an account first." };
  const needed = Object.values(source.inputs ?? {}).filter((one) => typeof one === "string");
  const keys = [...ALSO, ...needed];
  const titleOf = (key: string) => schema.properties?.[key]?.title ?? key;
  const missing = source.needs?.find((key) => isEmpty(config[key]));
  if (missing !== undefined) return { reason: `Fill in ${titleOf(missing)} first.` };
  const computed = keys.find((key) => isComputed(config[key]));
  if (computed !== undefined)
    return {
      reason: `${titleOf(computed)} is an expression, so the choices are known only in a run. Type the value.`,
    };
  const given = keys.filter((key) => !isEmpty(config[key]));
  return { config: Object.fromEntries(given.map((key) => [key, config[key] as Json])) };
}

/** Return the choices whose label or value has every word of the search. */
export function filtered(items: readonly Choice[], search: string): Choice[] {
  const words = wordsOf(search);
  return items.filter(({ value, label }) => {
    const text = `${label} ${value}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

/** Return the label of a value, if it is known and says more. */
export function labelIn(items: readonly Choice[], value: string): string | undefined {
  const found = items.find((one) => one.value === value);
  return found !== undefined && found.label !== found.value ? found.label : undefined;
}

export function textOf(value: Json | undefined): string {
  if (value === undefined || value === null) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Return the values without the one of this text, or with it at the end. */
export function toggled(values: readonly Json[], text: string): Json[] {
  const rest = values.filter((one) => textOf(one) !== text);
  return rest.length < values.length ? rest : [...values, text];
}

// Settings that name something of the workspace: a table, a column, a key, a file, a folder; pure.

/** The value of `x-names` of settings whose field is a text with a list beside it. */
export type Names = "table" | "column" | "store_key" | "file" | "files" | "folder";

/** Return the part of a search that the paths must begin with: the server finds those, however many there are. */
export function folderOf(search: string): string {
  return search.slice(0, search.lastIndexOf("/") + 1);
}

/** Return the folders that the paths lead through, each with a slash at the end. */
export function foldersOf(paths: readonly string[]): string[] {
  const found = new Set<string>();
  for (const path of paths) {
    for (let at = path.indexOf("/"); at !== -1; at = path.indexOf("/", at + 1)) found.add(path.slice(0, at + 1));
  }
  return [...found].sort();
}

/** Return why nothing can be listed. */
export function reasonOf(names: Names, config: Record<string, Json>): string | undefined {
  if (names !== "column") return undefined;
  if (config.table === undefined || config.table === "") return "Choose a table first.";
  return holdsExpression(config.table)
    ? "The table is an expression, so its columns are known only in a run. Type the name."
    : undefined;
}

/** What to say if there is nothing. */
export const EMPTY: Record<Names, string> = {
  table: "The workspace has no table yet. Type the name of a new one.",
  column: "There is no such table yet. Type the name of a column.",
  store_key: "The store has no key yet. Type a new one.",
  file: "The workspace has no files yet. Type a path.",
  files: "The workspace has no files yet. Type paths.",
  folder: "The workspace has no folders yet. Type a path with a slash at its end.",
};
