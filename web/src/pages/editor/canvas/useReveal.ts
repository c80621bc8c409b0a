import { useReactFlow, useStoreApi } from "@xyflow/react";
import { useEffect } from "react";
import { placeOf } from "@/definition/annotations";
import { isFoldedIn } from "../annotationActions";
import { useEditor, useEditorStore } from "../context";
import { nudged, type Size } from "./refit";

const FRAMES = 20;
const COVERED = { width: 175, height: 125 };
const NOTHING = { width: 0, height: 0 };

/** The size of the overview map in the lower right corner. */
export function coveredByMap(): Size {
  return document.querySelector(".react-flow__minimap") === null ? NOTHING : COVERED;
}

/** Focus a node once it is rendered; a node that was out of view appears a few frames later. */
function focusWhenThere(id: string, frames = FRAMES): void {
  const element = document.querySelector<HTMLElement>(`.react-flow__node[data-id="${CSS.escape(id)}"]`);
  if (element !== null) element.focus({ preventScroll: true });
  else if (frames > 0) requestAnimationFrame(() => focusWhenThere(id, frames - 1));
}

/** Bring the nodes requested by the store into view, and focus a single node that was reached by keyboard. */
export function useReveal(): void {
  const store = useEditorStore();
  const reveal = useEditor((state) => state.reveal);
  const flow = useReactFlow();
  const canvas = useStoreApi();

  useEffect(() => {
    const [id] = reveal?.ids ?? [];
    const state = store.getState();
    const box =
      id === undefined ? undefined : placeOf(state.definition, id, (group) => isFoldedIn(state, group));
    if (reveal === null || id === undefined || box === undefined) return;
    const { x, y, zoom } = flow.getViewport();
    const { width, height } = canvas.getState();
    // Move a partly visible node no further than necessary: large moves are hard to follow.
    const center = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
    const [left, top] = [center.x * zoom + x, center.y * zoom + y];
    const isInView = !reveal.center && left >= 0 && top >= 0 && left <= width && top <= height;
    const duration = reveal.focus ? 0 : 200;
    if (isInView) {
      const view = nudged(box, { x, y, zoom }, { width, height }, coveredByMap());
      if (view !== undefined) void flow.setViewport(view, { duration });
    } else {
      void flow.setCenter(center.x, center.y, {
        zoom: Math.max(zoom, 0.6),
        duration,
      });
    }
    if (reveal.focus) focusWhenThere(id);
  }, [reveal, store, flow, canvas]);
}
