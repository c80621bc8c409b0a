/** Identify this tab and the open tabs: each keeps its unsaved changes separately. */
const KEPT = "headrace.tab";
const PREFIX = "headrace.tab.";

function newName(): string {
  return [...crypto.getRandomValues(new Uint32Array(2))].map((part) => part.toString(36)).join("");
}

/**
 * This tab's name, which survives a reload. It is in the session storage only between two pages: a duplicated tab
 * copies the storage and would get the same name.
 */
function named(): string {
  const name = sessionStorage.getItem(KEPT) ?? newName();
  const take = () => sessionStorage.removeItem(KEPT);
  take();
  window.addEventListener("pagehide", () => sessionStorage.setItem(KEPT, name));
  window.addEventListener("pageshow", take);
  // Held while the page exists, however it ends.
  void navigator.locks?.request(PREFIX + name, () => new Promise<never>(() => {}))?.catch(() => {});
  return name;
}

let name: string | undefined;

export function thisTab(): string {
  name ??= named();
  return name;
}

/** Return the names of the open tabs; null if the browser does not support it, which requires a secure connection. */
export async function openTabs(): Promise<ReadonlySet<string> | null> {
  if (navigator.locks === undefined) return null;
  const { held = [] } = await navigator.locks.query();
  const names = held.map((lock) => lock.name ?? "").filter((one) => one.startsWith(PREFIX));
  return new Set(names.map((one) => one.slice(PREFIX.length)));
}
