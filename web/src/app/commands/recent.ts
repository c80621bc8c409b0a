/** The items that the user opened last, kept in the browser for each workspace until the user logs out. */
import type { Command } from "./commands";

export type Recent = Pick<Command, "id" | "label">;

const MAX_KEPT = 20;

function keyOf(workspaceId: string): string {
  return `headrace.recent.${workspaceId}`;
}

function isRecent(value: unknown): value is Recent {
  const { id, label } = (value ?? {}) as Partial<Recent>;
  return typeof id === "string" && typeof label === "string";
}

/** Return the recent items, latest first. */
export function recentItems(workspaceId: string, store: Storage = localStorage): Recent[] {
  try {
    const kept: unknown = JSON.parse(store.getItem(keyOf(workspaceId)) ?? "[]");
    return Array.isArray(kept) ? kept.filter(isRecent) : [];
  } catch {
    return []; // Invalid content; losing the list is harmless.
  }
}

/** Put an item first. */
export function remember(workspaceId: string, { id, label }: Recent, store: Storage = localStorage): void {
  const others = recentItems(workspaceId, store).filter((one) => one.id !== id);
  try {
    store.setItem(keyOf(workspaceId), JSON.stringify([{ id, label }, ...others].slice(0, MAX_KEPT)));
  } catch {
    // The browser's storage is full: the list stays as it is.
  }
}
