/** Group a flat list of paths into folders; pure. */
import type { Schemas } from "@/api/client";

export type FileEntry = Schemas["FileOut"];

export interface Listing {
  folders: { name: string; path: string }[];
  files: FileEntry[];
}

/**
 * Return the direct content of a folder, whose path ends with a slash or is empty. Deeper files appear as their folder.
 */
export function within(folder: string, entries: readonly FileEntry[]): Listing {
  const folders = new Set<string>();
  const files: FileEntry[] = [];
  for (const entry of entries) {
    if (!entry.path.startsWith(folder)) continue;
    const rest = entry.path.slice(folder.length);
    const slash = rest.indexOf("/");
    if (slash < 0) files.push(entry);
    else folders.add(rest.slice(0, slash));
  }
  return { folders: [...folders].map((name) => ({ name, path: `${folder}${name}/` })), files };
}

/** Return the parent folders: for `a/b/` these are `a/` and `a/b/`. */
export function trail(folder: string): { name: string; path: string }[] {
  const names = folder.split("/").filter((name) => name !== "");
  return names.map((name, at) => ({ name, path: `${names.slice(0, at + 1).join("/")}/` }));
}

/** Return the URL of a file. A link sends no headers, so it names the workspace itself. */
export function addressOf(path: string, workspace: string): string {
  const encoded = path.split("/").map(encodeURIComponent).join("/");
  return `/api/files/${encoded}?workspace_id=${encodeURIComponent(workspace)}`;
}
