import { useReactFlow, useStoreApi } from "@xyflow/react";
import { useEffect } from "react";
import { NODE } from "@/definition/layout";
import { nodeOf } from "../changes";
import { useEditor, useEditorStore } from "../context";

const FRAMES = 20;

/** Focuses a node as soon as it is drawn: one that was out of view comes a few frames later. */
function focusWhenThere(id: string, frames = FRAMES): void {
  const element = document.querySelector<HTMLElement>(`.react-flow__node[data-id="${CSS.escape(id)}"]`);
  if (element !== null) element.focus({ preventScroll: true });
  else if (frames > 0) requestAnimationFrame(() => focusWhenThere(id, frames - 1));
}

/** Brings the nodes that the store asks for into view, and the focus to a single one that is gone to by keyboard. */
export function useReveal(): void {
  const store = useEditorStore();
  const reveal = useEditor((state) => state.reveal);
  const flow = useReactFlow();
  const canvas = useStoreApi();

  useEffect(() => {
    const [id] = reveal?.ids ?? [];
    const node = id === undefined ? undefined : nodeOf(store.getState().definition, id);
    if (reveal === null || id === undefined || node?.position === undefined) return;
    const { x, y, zoom } = flow.getViewport();
    const { width, height } = canvas.getState();
    const [left, top] = [node.position.x * zoom + x, node.position.y * zoom + y];
    const isInView =
      left >= 0 && top >= 0 && left + NODE.width * zoom <= width && top + NODE.height * zoom <= height;
    if (!isInView) {
      const center = { x: node.position.x + NODE.width / 2, y: node.position.y + NODE.height / 2 };
      void flow.setCenter(center.x, center.y, {
        zoom: Math.max(zoom, 0.6),
        duration: reveal.focus ? 0 : 200,
      });
    }
    if (reveal.focus) focusWhenThere(id);
  }, [reveal, store, flow, canvas]);
}
