/** Settings that name something of the workspace: a table, a column, a key, a file, a folder; pure. */
import type { Json } from "@/definition/types";
import { holdsExpression } from "../schema/values";

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
    for (let at = path.indexOf("/"); at !== -1; at = path.indexOf("/", at + 1))
      found.add(path.slice(0, at + 1));
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
