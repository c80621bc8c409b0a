/** Actions that need the canvas itself, for keys: set by the canvas that is open. */
import { useReactFlow } from "@xyflow/react";
import { useEffect } from "react";
import { snap } from "@/definition/size";
import type { Position } from "@/definition/types";
import { notify } from "@/ui/notify";
import { heightOf, usedWays, waysOf } from "../branches";
import { useEditorStore } from "../context";
import type { EditorState } from "../store";
import { loadTidied } from "../tidying";

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
