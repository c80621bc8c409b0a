/** Publish the draft, and show the result. */
import { notify } from "@/ui/notify";
import { messageOf } from "@/ui/states";
import { type EditorStore, type FlowStatus, isUnpublished } from "../store";
import type { PublishOptions, Saver } from "./saver";

/** The words for publishing: an inactive flow has no triggers that would start the version. */
export function wordsFor(status: FlowStatus) {
  return status === "active"
    ? { action: "Publish", done: "Published as version" }
    : { action: "Save version", done: "Saved as version" };
}

/** Publishing or discarding the draft cancels a publish at a time. */
export function forgetScheduled(store: EditorStore): void {
  const { presence, setPresence } = store.getState();
  setPresence({ ...presence, scheduled: null });
}

/** Publish the draft. Return false if the server refused it; the reason is shown above the canvas. */
export async function publishDraft(
  store: EditorStore,
  saver: Saver,
  options: PublishOptions = {},
): Promise<boolean> {
  if (!isUnpublished(store.getState())) {
    notify.hint("There are no changes since the current version.");
    return true;
  }
  try {
    await saver.publish(options);
    const { flow, version } = store.getState();
    if (!options.at) forgetScheduled(store);
    if (!options.at) notify.done(`${wordsFor(flow.status).done} ${version}`);
    return true;
  } catch (error) {
    const { saving, setSaving } = store.getState();
    // Otherwise the bar already says why.
    if (saving.kind === "idle" || saving.kind === "saving")
      setSaving({ kind: "unpublished", message: messageOf(error) });
    return false;
  }
}
