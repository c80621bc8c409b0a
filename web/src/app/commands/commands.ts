/** Commands that pages give to the command palette. Part of the first load, so it must stay small. */
import { type ReactNode, useEffect, useRef } from "react";
import { useSession } from "../session";

export type Group =
  | "Recent"
  | "This page"
  | "Nodes of this flow"
  | "Flows"
  | "Runs"
  | "Pages"
  | "Actions"
  | "Add a node";

export interface Command {
  /** The same at each visit: `page /runs`, `flow wf_1`. */
  id: string;
  label: string;
  group: Exclude<Group, "Recent">;
  /** A line below the label. */
  about?: string;
  /** Other words by which it is found. */
  words?: string;
  icon?: ReactNode;
  /** Its keyboard shortcut, such as "Ctrl + S". */
  keys?: string;
  /** True to list it only in a search: there are many of its kind. */
  searched?: boolean;
  /** True if the server found it: it is listed even if its words do not match. */
  found?: boolean;
  run: () => void;
}

type Provider = () => Command[];

const providers = new Set<Provider>();

/** Return the commands of the open page. */
export function providedCommands(): Command[] {
  return [...providers].flatMap((provide) => provide());
}

/** Give commands to the palette while the component is mounted. `provide` is called when the palette opens. */
export function useCommands(provide: Provider): void {
  const latest = useRef(provide);
  latest.current = provide;
  useEffect(() => {
    const provider = () => latest.current();
    providers.add(provider);
    return () => {
      providers.delete(provider);
    };
  }, []);
}

/** The key that opens the command palette. */

const IS_MAC = /Mac|iPhone|iPad/.test(globalThis.navigator?.platform ?? "");

/** The key as shown to the user. */
export const PALETTE_KEY = IS_MAC ? "⌘ K" : "Ctrl + K";

/** Return true for Ctrl+K, on a Mac for Cmd+K: there Ctrl+K deletes to the end of a line. */
export function isPaletteKey(event: KeyboardEvent): boolean {
  const { key, ctrlKey, metaKey, altKey, shiftKey } = event;
  return key.toLowerCase() === "k" && (IS_MAC ? metaKey : ctrlKey) && !altKey && !shiftKey;
}

// The items that the user opened last, kept in the browser for each workspace until the user logs out.

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

/** Put the open item first among the recent items of the command palette; null while its name is unknown. */
export function useVisited(item: Recent | null): void {
  const { workspace } = useSession();
  const [id, label] = [item?.id, item?.label];
  useEffect(() => {
    if (id !== undefined && label !== undefined) remember(workspace.id, { id, label });
  }, [workspace.id, id, label]);
}
