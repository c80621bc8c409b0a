/** The services and operations that the user added last, by the keys of their palette entries. Newest first. */

// Forgotten at logout, as all keys with this prefix.
const KEPT = "headrace.recent.services";
const MAX_KEPT = 5;

export function recentServices(): string[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEPT) ?? "[]");
    return Array.isArray(kept) ? kept.map(String).slice(0, MAX_KEPT) : [];
  } catch {
    return [];
  }
}

export function rememberService(key: string): void {
  const others = recentServices().filter((one) => one !== key);
  try {
    localStorage.setItem(KEPT, JSON.stringify([key, ...others].slice(0, MAX_KEPT)));
  } catch {
    // The browser's store is full: it is not remembered.
  }
}
