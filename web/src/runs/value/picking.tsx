/** Fields that can be picked: dragged or inserted into a setting. Only the editor offers this. */
import { createContext, type DragEvent as ReactDragEvent, useContext } from "react";
import type { Path } from "./kinds";

export interface Picking {
  /** Return the expression of the field at this path of the shown value. */
  expressionOf: (path: Path) => string;
  /** Insert the expression into the setting that had the focus last. */
  insert: (path: Path) => void;
  onDragStart: (event: Pick<DragEvent, "dataTransfer">, path: Path) => void;
}

const PickingContext = createContext<Picking | null>(null);
export const PickingProvider = PickingContext.Provider;

export function usePicking(): Picking | null {
  return useContext(PickingContext);
}

/** Return the properties that make an element draggable into a setting; none where nothing can be picked. */
export function draggable(picking: Picking | null, path: Path) {
  if (picking === null) return {};
  return {
    draggable: true,
    onDragStart: (event: ReactDragEvent) => picking.onDragStart(event, path),
    title: `Insert ${picking.expressionOf(path)}`,
  };
}
