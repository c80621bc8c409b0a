import { useReactFlow, useStore, useStoreApi } from "@xyflow/react";
import { useEffect, useRef } from "react";
import { around, type Box, placeOf } from "@/definition/annotations";
import { NODE } from "@/definition/types";
import { center, nudged, onScreen, READABLE, type Size, TOP, type View, viewOf } from "@/graph/view";
import { isFoldedIn } from "../annotating";
import { useEditor, useEditorStore } from "../context";

/** Views of the canvas after its size changed: keep visible nodes visible. */

function isWithin({ x, y }: { x: number; y: number }, { width, height }: Size): boolean {
  return x >= 0 && y >= 0 && x <= width && y <= height;
}

function isWhole(box: Box, size: Size): boolean {
  return isWithin(box, size) && isWithin({ x: box.x + box.width, y: box.y + box.height }, size);
}

/**
 * Return the view for a canvas of another size that shows the nodes visible before. If they would be too small to read,
 * show the selected nodes and the first ones. Undefined if all of them are visible already.
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
  return viewOf(seen, now, view.zoom, around(chosen.filter(wasSeen)));
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
/** Below this zoom a node is hard to find. */
const SMALLEST = 0.4;
/** The space of the button that adds the next node. */
const PLUS = 40;
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
    const view = flow.getViewport();
    const duration = reveal.focus ? 0 : 200;
    if (reveal.center || view.zoom < SMALLEST) {
      const { x, y } = center(box);
      void flow.setCenter(x, y, { zoom: Math.max(view.zoom, READABLE), duration });
    } else {
      // Move no further than necessary: large moves are hard to follow. Leave space for the button after the node.
      const wide = { ...box, width: box.width + PLUS };
      const moved = nudged(wide, view, canvas.getState(), coveredByMap());
      if (moved !== undefined) void flow.setViewport(moved, { duration });
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
