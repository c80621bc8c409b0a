/** Which part of a graph is in view; pure. */
import { around, type Box } from "@/definition/annotations";

export type Size = Pick<Box, "width" | "height">;

export interface View {
  x: number;
  y: number;
  zoom: number;
}

/** The zoom at which the smallest text of a card has ten pixels. No view that the app chooses is smaller. */
export const READABLE = 0.75;
export const EDGE = 40;
/** The height of the buttons that add nodes. */
export const TOP = 70;

export function center(box: Box): { x: number; y: number } {
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
}

export function onScreen(box: Box, { x, y, zoom }: View): Box {
  return { x: box.x * zoom + x, y: box.y * zoom + y, width: box.width * zoom, height: box.height * zoom };
}

/** Return the zoom at which the box just fits. */
function fitting(box: Box, { width, height }: Size): number {
  return Math.min((width - 2 * EDGE) / box.width, (height - EDGE - TOP) / box.height);
}

/**
 * Return the view of these boxes at up to `largest`: all of them, or if these would be too small to read, as many as
 * possible from the first one on, with `chosen`. Undefined without boxes.
 */
export function viewOf(boxes: readonly Box[], size: Size, largest = 1, chosen?: Box): View | undefined {
  const [all, first] = [around(boxes), leftmost(boxes)];
  if (all === undefined || first === undefined) return undefined;
  const zoom = Math.min(largest, Math.max(READABLE, fitting(all, size)));
  const x = placed(all.x * zoom, all.width * zoom, EDGE, size.width - EDGE, EDGE - all.x * zoom);
  const middle = (size.height + TOP - EDGE) / 2 - center(first).y * zoom;
  const y = placed(all.y * zoom, all.height * zoom, TOP, size.height - EDGE, middle);
  const view = { x, y, zoom };
  return (chosen && nudged(chosen, view, size)) ?? view;
}

function leftmost(boxes: readonly Box[]): Box | undefined {
  return boxes.reduce<Box | undefined>((best, box) => (best === undefined || box.x < best.x ? box : best), undefined);
}

/** Return by how much to move an interval: to the middle of the range if it fits, else as wanted, without a gap. */
function placed(at: number, length: number, from: number, to: number, wanted: number): number {
  if (length <= to - from) return (from + to - length) / 2 - at;
  return Math.min(from - at, Math.max(to - at - length, wanted));
}

const NOTHING = { width: 0, height: 0 };

/** Return the nearest view that shows a box completely, not covered by what is in the lower right corner. */
export function nudged(box: Box, view: View, { width, height }: Size, corner: Size = NOTHING): View | undefined {
  const gap = EDGE / 2;
  const { x, y, width: wide, height: high } = onScreen(box, view);
  const [dx, dy] = [into(x, wide, width, gap), into(y, high, height, gap)];
  const under = x + dx + wide > width - corner.width ? y + dy + high - (height - corner.height) : 0;
  const up = Math.max(0, under);
  return dx === 0 && dy === 0 && up === 0 ? undefined : { ...view, x: view.x + dx, y: view.y + dy - up };
}

/** Return the distance by which an interval must move to be inside; its start has priority. */
function into(at: number, length: number, whole: number, gap: number): number {
  const back = Math.min(0, whole - gap - (at + length));
  return at + back < gap ? gap - at : back;
}
