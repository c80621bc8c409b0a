/** Actions on the selection that have a key of their own, and an entry in the context menu. */

import type { Position } from "@/definition/types";
import { notify } from "@/ui/notify";
import { groupsAmong } from "../annotationActions";
import { nodeOf } from "../changes";
import { renameSelected } from "../renaming";
import type { EditorStore } from "../store";
import { canvasActions } from "./canvasActions";

export type Action = "rename" | "disable" | "pin" | "note" | "group" | "ungroup" | "fold" | "tidy";

function togglePin(store: EditorStore): void {
  const { selected, pinned, unpin, pinOutput, definition } = store.getState();
  const [id] = selected;
  if (selected.length !== 1 || id === undefined || nodeOf(definition, id) === undefined)
    notify.hint("Select the node whose output to pin");
  else if (id in pinned) unpin(id);
  else if (pinOutput === null) notify.hint("Run the flow first: the output of its last run is pinned");
  else pinOutput(id);
}

/** Say why nothing happened, if there is a reason. */
function tell(refusal: string | undefined): void {
  if (refusal !== undefined) notify.hint(refusal);
}

/** Do it with the selection; a note is placed at `at`. In a read-only flow only groups can be folded. */
export function act(action: Action, store: EditorStore, at?: Position): void {
  const state = store.getState();
  if (action === "fold") tell(state.fold(state.selected));
  if (action === "fold" || state.readOnly) return;
  if (action === "rename") renameSelected(store);
  else if (action === "disable") state.toggleDisabled(state.selected);
  else if (action === "pin") togglePin(store);
  else if (action === "note") tell(state.addNote(at ?? canvasActions.current?.freePlace() ?? { x: 0, y: 0 }));
  else if (action === "group") tell(state.group(state.selected));
  else if (action === "ungroup") {
    const groups = groupsAmong(state.definition, state.selected);
    const chosen = state.selected.filter((key) => groups.includes(key));
    // Of selected nodes only these leave their groups.
    state.ungroup(chosen.length > 0 ? chosen : state.selected);
  } else canvasActions.current?.tidyUp();
}
