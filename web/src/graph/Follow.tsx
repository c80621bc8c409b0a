import { type Node, useReactFlow, useStore, useStoreApi, type Viewport } from "@xyflow/react";
import { useEffect, useRef } from "react";
import { NODE } from "@/definition/size";

const READABLE = 0.4;
const CLOSE = 0.8;

/**
 * Bring the selected node into view if it is outside. At first, with `fit`, also if the whole graph is too small to
 * read.
 */
export function Follow({ id, fit }: { id: string | null; fit: boolean }) {
  const flow = useReactFlow();
  const store = useStoreApi();
  const isReady = useStore((state) => state.width > 0 && state.nodeLookup.size > 0);
  const isFirst = useRef(true);

  useEffect(() => {
    if (!isReady) return;
    const first = isFirst.current;
    isFirst.current = false;

    function isInside(node: Node, { x, y, zoom }: Viewport): boolean {
      const { width, height } = store.getState();
      const [left, top] = [node.position.x * zoom + x, node.position.y * zoom + y];
      return left >= 0 && top >= 0 && left + NODE.width * zoom <= width && top + NODE.height * zoom <= height;
    }
    function follow() {
      const node = flow.getNode(id ?? "") ?? (first ? flow.getNodes()[0] : undefined);
      if (node === undefined) return;
      const view = flow.getViewport();
      const isReadable = view.zoom >= READABLE;
      if (isInside(node, view) && (isReadable || !first)) return;
      if (node.id !== id) return showStart(node);
      const [x, y] = [node.position.x + NODE.width / 2, node.position.y + NODE.height / 2];
      void flow.setCenter(x, y, { zoom: isReadable ? view.zoom : CLOSE, duration: first ? 0 : 200 });
    }
    /** Nothing is selected: show the start of the flow. */
    function showStart({ position }: Node) {
      const y = store.getState().height / 2 - (position.y + NODE.height / 2) * CLOSE;
      void flow.setViewport({ x: 40 - position.x * CLOSE, y, zoom: CLOSE });
    }
    // The graph must be fitted before its scale is known.
    if (first && fit) void flow.fitView({ maxZoom: 1, padding: 0.2 }).then(follow);
    else follow();
  }, [flow, store, id, fit, isReady]);
  return null;
}
