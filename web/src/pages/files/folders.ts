/** Paths of files; pure. */
import type { Schemas } from "@/api/client";

export type FileEntry = Schemas["FileOut"];

/** Return true if the page can show a file of this type. */
export function canShow(type: string): boolean {
  const isImage = ["image/png", "image/jpeg", "image/gif", "image/webp"].includes(type);
  const isText = type.startsWith("text/") || type === "application/json" || type === "application/xml";
  return isImage || isText || type === "application/pdf";
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
