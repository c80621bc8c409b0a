/** What the canvas shows after its size has changed: what was seen before. */

export interface Size {
  width: number;
  height: number;
}

export interface View {
  x: number;
  y: number;
  zoom: number;
}

export interface Box extends Size {
  x: number;
  y: number;
}

/** Below this zoom names cannot be read. */
export const READABLE = 0.45;
const EDGE = 40;
/** Above it are the buttons that add nodes. */
const TOP = 70;

function center(box: Box): { x: number; y: number } {
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
}

function onScreen(box: Box, { x, y, zoom }: View): Box {
  return { x: box.x * zoom + x, y: box.y * zoom + y, width: box.width * zoom, height: box.height * zoom };
}

function isWithin({ x, y }: { x: number; y: number }, { width, height }: Size): boolean {
  return x >= 0 && y >= 0 && x <= width && y <= height;
}

function isWhole(box: Box, size: Size): boolean {
  return isWithin(box, size) && isWithin({ x: box.x + box.width, y: box.y + box.height }, size);
}

function around(boxes: readonly Box[]): Box {
  const x = Math.min(...boxes.map((box) => box.x));
  const y = Math.min(...boxes.map((box) => box.y));
  const right = Math.max(...boxes.map((box) => box.x + box.width));
  const bottom = Math.max(...boxes.map((box) => box.y + box.height));
  return { x, y, width: right - x, height: bottom - y };
}

function centered(box: Box, zoom: number, { width, height }: Size): View {
  const { x, y } = center(box);
  return { x: width / 2 - x * zoom, y: height / 2 - y * zoom, zoom };
}

/** The view in which a box is seen whole, and not under what lies in the lower right corner, by moving no further. */
export function nudged(box: Box, view: View, { width, height }: Size, corner: Size): View | undefined {
  const gap = EDGE / 2;
  const { x, y, width: wide, height: high } = onScreen(box, view);
  const [dx, dy] = [into(x, wide, width, gap), into(y, high, height, gap)];
  const under = x + dx + wide > width - corner.width ? y + dy + high - (height - corner.height) : 0;
  const up = Math.max(0, under);
  return dx === 0 && dy === 0 && up === 0 ? undefined : { ...view, x: view.x + dx, y: view.y + dy - up };
}

/** How far something must move to be within, its beginning first. */
function into(at: number, length: number, whole: number, gap: number): number {
  const back = Math.min(0, whole - gap - (at + length));
  return at + back < gap ? gap - at : back;
}

/**
 * The view for a canvas of another size in which the nodes are seen that were seen before; where they would be too
 * small to read, the chosen ones of them, else the first. Undefined where they all are seen as it is.
 */
export function refitted(
  view: View,
  old: Size,
  now: Size,
  nodes: readonly Box[],
  chosen: readonly Box[],
): View | undefined {
  const wasSeen = (box: Box) => isWithin(center(onScreen(box, view)), old);
  const seen = nodes.filter(wasSeen);
  if (seen.every((box) => isWhole(onScreen(box, view), now) || !isWhole(onScreen(box, view), old)))
    return undefined;
  const all = around(seen);
  const fitting = Math.min((now.width - 2 * EDGE) / all.width, (now.height - 2 * EDGE) / all.height);
  if (fitting >= READABLE) return centered(all, Math.min(view.zoom, fitting), now);
  const zoom = Math.min(view.zoom, READABLE);
  const wanted = chosen.filter(wasSeen);
  if (wanted.length > 0) return centered(around(wanted), zoom, now);
  return { x: EDGE - all.x * zoom, y: now.height / 2 - center(all).y * zoom, zoom };
}

/** What is seen of a canvas: through which view, in which size. */
export interface Sight {
  view: View;
  size: Size;
}

function isUnder(box: Box, { width, height }: Size, corner: Size): boolean {
  return box.x + box.width > width - corner.width && box.y + box.height > height - corner.height;
}

/**
 * The view a little higher where nodes that were seen would now lie under what is in the lower right corner: as much as
 * uncovers them, but none leaves at the top. Undefined where none is covered, or nothing can be done.
 */
export function uncovered(old: Sight, now: Sight, nodes: readonly Box[], corner: Size): View | undefined {
  const places = nodes
    .filter((box) => {
      const before = onScreen(box, old.view);
      return isWithin(center(before), old.size) && !isUnder(before, old.size, corner);
    })
    .map((box) => onScreen(box, now.view));
  const covered = places.filter((box) => isWithin(box, now.size) && isUnder(box, now.size, corner));
  if (covered.length === 0) return undefined;
  const wanted = Math.max(...covered.map((box) => box.y + box.height)) - (now.size.height - corner.height);
  const up = Math.min(wanted, Math.min(...places.map((box) => box.y)) - TOP);
  return up > 0 ? { ...now.view, y: now.view.y - up } : undefined;
}

const LOWEST = 0.05;
/** The part of the canvas that "Show all" leaves empty around the nodes, with some to spare. */
const ROOM = 0.75;

/** The zoom down to which one may go: so far that all nodes fit, however many stand in a row. */
export function lowestZoom(nodes: readonly Box[], { width, height }: Size): number {
  if (nodes.length === 0 || width === 0 || height === 0) return LOWEST;
  const left = Math.min(...nodes.map((box) => box.x));
  const top = Math.min(...nodes.map((box) => box.y));
  const wide = Math.max(...nodes.map((box) => box.x + box.width)) - left;
  const high = Math.max(...nodes.map((box) => box.y + box.height)) - top;
  return Math.min(LOWEST, ROOM * Math.min(width / wide, height / high));
}
