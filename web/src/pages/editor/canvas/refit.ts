import { useReactFlow, useStore, useStoreApi } from "@xyflow/react";
import { useEffect, useRef } from "react";
import { placeOf } from "@/definition/annotations";
import { NODE } from "@/definition/types";
import { isFoldedIn } from "../annotating";
import { useEditor, useEditorStore } from "../context";

/** Views of the canvas after its size changed: keep visible nodes visible. */

interface Size {
  width: number;
  height: number;
}

interface View {
  x: number;
  y: number;
  zoom: number;
}

interface Box extends Size {
  x: number;
  y: number;
}

/** Below this zoom names are unreadable. */
export const READABLE = 0.45;
const EDGE = 40;
/** The height of the buttons that add nodes. */
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

/** Return the nearest view that shows a box completely, not covered by the overview map in the lower right corner. */
export function nudged(box: Box, view: View, { width, height }: Size, corner: Size): View | undefined {
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

/**
 * Return the view for a canvas of another size that shows the nodes visible before. If they would be too small to read,
 * show the selected nodes, else the first ones. Undefined if all of them are visible already.
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
  if (seen.every((box) => isWhole(onScreen(box, view), now) || !isWhole(onScreen(box, view), old))) return undefined;
  const all = around(seen);
  const fitting = Math.min((now.width - 2 * EDGE) / all.width, (now.height - 2 * EDGE) / all.height);
  if (fitting >= READABLE) return centered(all, Math.min(view.zoom, fitting), now);
  const zoom = Math.min(view.zoom, READABLE);
  const wanted = chosen.filter(wasSeen);
  if (wanted.length > 0) return centered(around(wanted), zoom, now);
  return { x: EDGE - all.x * zoom, y: now.height / 2 - center(all).y * zoom, zoom };
}

/** The visible part of the canvas: view and size. */
interface Sight {
  view: View;
  size: Size;
}

function isUnder(box: Box, { width, height }: Size, corner: Size): boolean {
  return box.x + box.width > width - corner.width && box.y + box.height > height - corner.height;
}

/**
 * Return the view moved up so far that visible nodes are not covered by the map in the lower right corner and none
 * leaves at the top. Undefined if none is covered, or it is not possible.
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
/** The margin that "Zoom to fit" leaves around the nodes, and some more. */
const ROOM = 0.75;

/** Return the minimum zoom, at which all nodes fit. */
export function lowestZoom(nodes: readonly Box[], { width, height }: Size): number {
  if (nodes.length === 0 || width === 0 || height === 0) return LOWEST;
  const left = Math.min(...nodes.map((box) => box.x));
  const top = Math.min(...nodes.map((box) => box.y));
  const wide = Math.max(...nodes.map((box) => box.x + box.width)) - left;
  const high = Math.max(...nodes.map((box) => box.y + box.height)) - top;
  return Math.min(LOWEST, ROOM * Math.min(width / wide, height / high));
}

const FRAMES = 20;
const COVERED = { width: 175, height: 125 };
const NOTHING = { width: 0, height: 0 };

/** The size of the overview map in the lower right corner. */
function coveredByMap(): Size {
  return document.querySelector(".react-flow__minimap") === null ? NOTHING : COVERED;
}

/** Focus a node once it is rendered; a node that was out of view appears a few frames later. */
function focusWhenThere(id: string, frames = FRAMES): void {
  const element = document.querySelector<HTMLElement>(`.react-flow__node[data-id="${CSS.escape(id)}"]`);
  if (element !== null) element.focus({ preventScroll: true });
  else if (frames > 0) requestAnimationFrame(() => focusWhenThere(id, frames - 1));
}

/** Bring the nodes requested by the store into view, and focus a single node that was reached by keyboard. */
export function useReveal(): void {
  const store = useEditorStore();
  const reveal = useEditor((state) => state.reveal);
  const flow = useReactFlow();
  const canvas = useStoreApi();

  useEffect(() => {
    const [id] = reveal?.ids ?? [];
    const state = store.getState();
    const box = id === undefined ? undefined : placeOf(state.definition, id, (group) => isFoldedIn(state, group));
    if (reveal === null || id === undefined || box === undefined) return;
    const { x, y, zoom } = flow.getViewport();
    const { width, height } = canvas.getState();
    // Move a partly visible node no further than necessary: large moves are hard to follow.
    const center = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
    const [left, top] = [center.x * zoom + x, center.y * zoom + y];
    const isInView = !reveal.center && left >= 0 && top >= 0 && left <= width && top <= height;
    const duration = reveal.focus ? 0 : 200;
    if (isInView) {
      const view = nudged(box, { x, y, zoom }, { width, height }, coveredByMap());
      if (view !== undefined) void flow.setViewport(view, { duration });
    } else {
      void flow.setCenter(center.x, center.y, {
        zoom: Math.max(zoom, 0.6),
        duration,
      });
    }
    if (reveal.focus) focusWhenThere(id);
  }, [reveal, store, flow, canvas]);
}

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
