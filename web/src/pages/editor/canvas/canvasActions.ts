/** Actions that need the canvas itself, for keys: set by the canvas that is open. */

import { useReactFlow } from "@xyflow/react";
import { useEffect } from "react";
import { groupOf, noteOf } from "@/definition/annotations";
import { type Position, snap } from "@/definition/types";
import { notify } from "@/ui/notify";
import { groupsAmong } from "../annotating";
import { heightOf, usedWays, waysOf } from "../branches";
import { loadTidied, nodeOf } from "../changes";
import { useEditorStore } from "../context";
import type { EditorState, EditorStore } from "../store";
import { useUi } from "../ui";

interface CanvasActions {
  /** Return a place in the visible part of the canvas for a new note. */
  freePlace: () => Position;
  tidyUp: () => void;
  zoomToFit: () => void;
}

export const canvasActions: { current: CanvasActions | null } = { current: null };

const FIT = { maxZoom: 1, padding: 0.15, duration: 200 };

export function useCanvasActions(): void {
  const store = useEditorStore();
  const { fitView, screenToFlowPosition } = useReactFlow();
  useEffect(() => {
    const zoomToFit = () => void fitView(FIT);
    const made: CanvasActions = {
      zoomToFit,
      freePlace: () => {
        const box = document.querySelector(".react-flow")?.getBoundingClientRect();
        const at = { x: (box?.x ?? 0) + (box?.width ?? 0) / 2, y: (box?.y ?? 0) + 90 };
        const { x, y } = screenToFlowPosition(at);
        return { x: snap(x), y: snap(y) };
      },
      tidyUp: () => {
        loadTidied().then(
          () => {
            const state = store.getState();
            state.arrange(nodeHeights(state));
            requestAnimationFrame(zoomToFit);
          },
          (error: unknown) => notify.refused("The flow could not be tidied up", error),
        );
      },
    };
    canvasActions.current = made;
    return () => {
      if (canvasActions.current === made) canvasActions.current = null;
    };
  }, [store, fitView, screenToFlowPosition]);
}

/** Return the height of each node, for the layout. */
function nodeHeights({ definition, check, catalogue }: EditorState): (id: string) => number {
  const used = usedWays(definition.edges);
  const found = new Map(
    definition.nodes.map((node) => [
      node.id,
      heightOf(waysOf(node, check?.ways.get(node.id), catalogue, used.get(node.id)).length),
    ]),
  );
  return (id) => found.get(id) ?? heightOf(1);
}

// Renaming by keyboard: the name of the selected node, group or note is in the panel.

const FRAMES = 60;

/** Focus the name of this element in the panel once it is rendered, with its text selected. */
function focusName(key: string, frames = FRAMES): void {
  const field = document.querySelector<HTMLInputElement>(`[data-panel] input[data-name="${CSS.escape(key)}"]`);
  if (field === null) {
    if (frames > 0) requestAnimationFrame(() => focusName(key, frames - 1));
    return;
  }
  field.focus();
  field.select();
}

/** Let the user rename the selected element; of a note, write its text. Several have no name. */
export function renameSelected(store: EditorStore): void {
  const { selected, readOnly, definition, setWriting } = store.getState();
  const [key] = selected;
  if (readOnly || key === undefined || selected.length > 1) return;
  if (noteOf(definition, key) !== undefined) {
    setWriting(key);
    return;
  }
  useUi.getState().keep({ panel: true });
  // React has then rendered the selection, and the next key is already for the name.
  queueMicrotask(() => focusName(key));
}

/** Group the selected nodes, and let the user name a new group. */
function groupSelected(store: EditorStore): void {
  const { selected, definition, group } = store.getState();
  const isNew = !selected.some((key) => groupOf(definition, key) !== undefined);
  const refusal = group(selected);
  tell(refusal);
  if (isNew && refusal === undefined) renameSelected(store);
}

// Actions on the selection that have a key of their own, and an entry in the context menu.

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
  else if (action === "group") groupSelected(store);
  else if (action === "ungroup") {
    const groups = groupsAmong(state.definition, state.selected);
    const chosen = state.selected.filter((key) => groups.includes(key));
    // Of selected nodes only these leave their groups.
    state.ungroup(chosen.length > 0 ? chosen : state.selected);
  } else canvasActions.current?.tidyUp();
}
