import { useReactFlow, useStore } from "@xyflow/react";
import { useEffect, useRef } from "react";
import { NODE } from "@/definition/size";
import { useEditorStore } from "../context";
import { type Box, refitted, type Size, uncovered, type View } from "./refit";
import { coveredByMap } from "./useReveal";

function isSame(one: View, other: View): boolean {
  return (["x", "y", "zoom"] as const).every((part) => Math.abs(one[part] - other[part]) < 0.5);
}

/**
 * Keep visible nodes visible when a panel opens beside or below the canvas, and restore the view when it closes, unless
 * the user moved the canvas meanwhile.
 */
export function useRefit(): void {
  const store = useEditorStore();
  const flow = useReactFlow();
  const width = useStore((state) => state.width);
  const height = useStore((state) => state.height);
  const size = useRef<Size>({ width: 0, height: 0 });
  const left = useRef<{ view: View; size: Size; made: View } | null>(null);

  useEffect(() => {
    const [old, now] = [size.current, { width, height }];
    size.current = now;
    if (old.width === 0 || width === 0) return;
    const view = flow.getViewport();
    const before = left.current !== null && isSame(view, left.current.made) ? left.current : null;
    if (before !== null && width >= before.size.width && height >= before.size.height) {
      left.current = null;
      void flow.setViewport(before.view);
      return;
    }
    const { definition, selected } = store.getState();
    const boxes = new Map(
      definition.nodes.map(({ id, position }): [string, Box] => [
        id,
        { x: position?.x ?? 0, y: position?.y ?? 0, ...NODE },
      ]),
    );
    const chosen = selected.flatMap((id) => boxes.get(id) ?? []);
    const nodes = [...boxes.values()];
    const fitting = refitted(view, old, now, nodes, chosen);
    const sight = { view: fitting ?? view, size: now };
    const made = uncovered({ view, size: old }, sight, nodes, coveredByMap()) ?? fitting;
    if (made === undefined) return;
    left.current = before === null ? { view, size: old, made } : { ...before, made };
    void flow.setViewport(made);
  }, [width, height, flow, store]);
}
