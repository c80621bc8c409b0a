/** The key that opens the command palette. */

const IS_MAC = /Mac|iPhone|iPad/.test(globalThis.navigator?.platform ?? "");

/** The key as shown to the user. */
export const PALETTE_KEY = IS_MAC ? "⌘ K" : "Ctrl + K";

/** Return true for Ctrl+K, on a Mac for Cmd+K: there Ctrl+K deletes to the end of a line. */
export function isPaletteKey(event: KeyboardEvent): boolean {
  const { key, ctrlKey, metaKey, altKey, shiftKey } = event;
  return key.toLowerCase() === "k" && (IS_MAC ? metaKey : ctrlKey) && !altKey && !shiftKey;
}
