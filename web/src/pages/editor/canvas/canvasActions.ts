/** Actions that need the canvas itself, for keys: set by the canvas that is open. */
import { useReactFlow } from "@xyflow/react";
import { useEffect } from "react";
import type { Position } from "@/definition/types";
import { GRID } from "../changes";
import { useEditorStore } from "../context";
import { nodeHeights } from "./heights";

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
        return { x: Math.round(x / GRID) * GRID, y: Math.round(y / GRID) * GRID };
      },
      tidyUp: () => {
        const state = store.getState();
        state.arrange(nodeHeights(state));
        requestAnimationFrame(zoomToFit);
      },
    };
    canvasActions.current = made;
    return () => {
      if (canvasActions.current === made) canvasActions.current = null;
    };
  }, [store, fitView, screenToFlowPosition]);
}
