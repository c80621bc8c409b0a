/** Edges from the end of a row of nodes to the start of another. */
import { NODE } from "@/definition/size";
import type { Position } from "@/definition/types";

export const BETWEEN_ROWS = { borderRadius: 16, offset: 24 };

/** Return true if an edge goes back to the left, in another row. */
export function isBackwards(from: Position, to: Position): boolean {
  return to.x < from.x && Math.abs(to.y - from.y) > NODE.height;
}
