/** What the browser keeps of runs while one works on a flow, until one logs out. */
const OF_RUNS = ["headrace.pinned.", "headrace.editor.input.", "headrace.editor.run."];

/**
 * Forgets what nodes gave, what runs were given, and which runs were looked at. What was typed and is not saved yet
 * stays for its user, since it is nowhere else.
 */
export function forgetRuns(stores: Storage[] = [localStorage, sessionStorage]): void {
  for (const store of stores) {
    for (const key of Object.keys(store)) {
      if (OF_RUNS.some((prefix) => key.startsWith(prefix))) store.removeItem(key);
    }
  }
}
