/** Sizes on the canvas, in canvas pixels. */

/** The size of a node. A node with many branches is taller. */
export const NODE = { width: 220, height: 64 };
export const GRID = 20;

export function snap(value: number): number {
  return Math.round(value / GRID) * GRID;
}
