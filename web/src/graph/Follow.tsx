import { useReactFlow, useStore } from "@xyflow/react";
import { useEffect, useRef } from "react";
import { NODE } from "@/definition/layout";

const READABLE = 0.5;
const CLOSE = 0.8;

/** Brings the chosen node into view when it is outside; at first also where a large graph is too small to read. */
export function Follow({ id }: { id: string | null }) {
  const flow = useReactFlow();
  const isReady = useStore((state) => state.width > 0 && state.nodeLookup.size > 0);
  const size = useRef({ width: 0, height: 0 });
  useStore((state) => {
    size.current = { width: state.width, height: state.height };
    return null;
  });
  const isFirst = useRef(true);

  useEffect(() => {
    if (!isReady) return;
    const first = isFirst.current;
    isFirst.current = false;
    const node = flow.getNode(id ?? "") ?? (first ? flow.getNodes()[0] : undefined);
    if (node === undefined) return;
    const { x, y, zoom } = flow.getViewport();
    const [left, top] = [node.position.x * zoom + x, node.position.y * zoom + y];
    const isInside =
      left >= 0 &&
      top >= 0 &&
      left + NODE.width * zoom <= size.current.width &&
      top + NODE.height * zoom <= size.current.height;
    if (zoom >= READABLE ? isInside : !first && isInside) return;
    const middle = { x: node.position.x + NODE.width / 2, y: node.position.y + NODE.height / 2 };
    void flow.setCenter(middle.x, middle.y, {
      zoom: zoom >= READABLE ? zoom : CLOSE,
      duration: first ? 0 : 200,
    });
  }, [flow, id, isReady]);
  return null;
}
