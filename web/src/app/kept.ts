/** Run data and names of flows that the browser keeps until the user logs out. */
const OF_RUNS = ["headrace.pinned.", "headrace.editor.input.", "headrace.editor.run.", "headrace.recent."];

/**
 * Delete kept node outputs, run inputs, the ids of runs shown and the recent items of the command palette. Unsaved
 * changes stay for their user: no other copy exists.
 */
export function forgetRuns(stores: Storage[] = [localStorage, sessionStorage]): void {
  for (const store of stores) {
    for (const key of Object.keys(store)) {
      if (OF_RUNS.some((prefix) => key.startsWith(prefix))) store.removeItem(key);
    }
  }
}
