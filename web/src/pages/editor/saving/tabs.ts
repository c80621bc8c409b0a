/** Which tab of the browser this is, and which are open: each keeps what was typed in it apart from the others. */
const KEPT = "headrace.tab";
const PREFIX = "headrace.tab.";

function newName(): string {
  return [...crypto.getRandomValues(new Uint32Array(2))].map((part) => part.toString(36)).join("");
}

/**
 * The tab's name, the same after a reload. It is in the tab's store only between two pages: a tab that is made as the
 * copy of one that is open would have its name too.
 */
function named(): string {
  const name = sessionStorage.getItem(KEPT) ?? newName();
  const take = () => sessionStorage.removeItem(KEPT);
  take();
  window.addEventListener("pagehide", () => sessionStorage.setItem(KEPT, name));
  window.addEventListener("pageshow", take);
  // Held as long as the page is there, however it ends.
  void navigator.locks?.request(PREFIX + name, () => new Promise<never>(() => {}))?.catch(() => {});
  return name;
}

let name: string | undefined;

export function thisTab(): string {
  name ??= named();
  return name;
}

/** The names of the open tabs; null where the browser does not tell, as it does only of safe connections. */
export async function openTabs(): Promise<ReadonlySet<string> | null> {
  if (navigator.locks === undefined) return null;
  const { held = [] } = await navigator.locks.query();
  const names = held.map((lock) => lock.name ?? "").filter((one) => one.startsWith(PREFIX));
  return new Set(names.map((one) => one.slice(PREFIX.length)));
}
