import { notifications } from "@mantine/notifications";
import { useReactFlow } from "@xyflow/react";
import { useEffect } from "react";
import { notify } from "@/ui/notify";
import type { Piece } from "./changes";
import { copied, pastedOf, wholeOf } from "./clipboard";
import { useEditorStore } from "./context";
import { whereNext } from "./palette/adding";
import { useUi } from "./ui";
import { isElsewhere } from "./useKeys";

/** Return true if text on the page is selected: copying then means that text. */
function hasText(): boolean {
  return (window.getSelection()?.toString() ?? "") !== "";
}

/** Return a point near the middle of the canvas, for pasted nodes. */
function middle(): { x: number; y: number } {
  const box = document.querySelector(".react-flow")?.getBoundingClientRect();
  return box === undefined ? { x: 0, y: 0 } : { x: box.x + 0.4 * box.width, y: box.y + 0.4 * box.height };
}

/** Ctrl+C, X and V use the system clipboard, so they work across flows, tabs and browsers. */
export function useClipboard(): void {
  const store = useEditorStore();
  const { screenToFlowPosition } = useReactFlow();

  useEffect(() => {
    let pointer: { x: number; y: number } | null = null;

    function onPointerMove(event: PointerEvent) {
      const onCanvas = event.target instanceof Element && event.target.closest(".react-flow") !== null;
      pointer = onCanvas ? { x: event.clientX, y: event.clientY } : null;
    }

    function onCopy(event: ClipboardEvent) {
      const { selected, definition } = store.getState();
      if (selected.length === 0 || hasText() || isElsewhere(event.target)) return;
      event.clipboardData?.setData("text/plain", copied(definition, selected));
      event.preventDefault();
      if (event.type === "cut") store.getState().removeNodes(selected);
      else
        notifications.show({
          message: selected.length === 1 ? "Node copied" : `${selected.length} nodes copied`,
        });
    }

    /** Return the pointer's position, else the middle of the visible canvas. */
    function paste(piece: Piece) {
      store.getState().paste(piece, screenToFlowPosition(pointer ?? middle()));
    }

    function onPaste(event: ClipboardEvent) {
      if (isElsewhere(event.target) || store.getState().readOnly) return;
      const text = event.clipboardData?.getData("text/plain") ?? "";
      const pasted = pastedOf(text);
      if (pasted.kind === "nothing") {
        if (text.trim() !== "") notify.hint("The clipboard contains neither nodes nor a cURL command.");
        return;
      }
      event.preventDefault();
      if (pasted.kind === "nodes") void wholeOf(pasted.definition).then(paste);
      else useUi.getState().set({ curl: { where: whereNext(store.getState()), command: pasted.command } });
    }

    document.addEventListener("pointermove", onPointerMove);
    document.addEventListener("copy", onCopy);
    document.addEventListener("cut", onCopy);
    document.addEventListener("paste", onPaste);
    return () => {
      document.removeEventListener("pointermove", onPointerMove);
      document.removeEventListener("copy", onCopy);
      document.removeEventListener("cut", onCopy);
      document.removeEventListener("paste", onPaste);
    };
  }, [store, screenToFlowPosition]);
}
