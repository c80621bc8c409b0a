/** The definition in React Flow's format. Unchanged parts stay the same objects, so that they do not re-render. */
import { type Edge, type Node, Position } from "@xyflow/react";
import type { Catalogue, NodeType } from "@/api/catalogue";
import type { ShownEdge } from "@/definition/folding";
import { type Definition, type FlowEdge, type FlowNode, NODE, type Position as Place } from "@/definition/types";

import { nameOf, subtitleOf } from "@/graph/nameOf";
import { type Lane, laneOf } from "@/graph/route";
import { type Counts, edgeLabel, itemsOver } from "@/runs/words";
import { heightOf, placesOf, usedWays, type Way, waysOf } from "../branches";
import { edgeKey } from "../changes";
import { type Check, inWords, type Problem } from "../problems";

/** Places of nodes and notes during a drag, and sizes of notes while they are resized; null at other times. */
export type Moving = ReadonlyMap<string, Place & { width?: number; height?: number }> | null;

export interface NodeData extends Record<string, unknown> {
  node: FlowNode;
  type: NodeType | undefined;
  ways: readonly Way[];
  /** Return the outputs without an edge. */
  open: readonly Way[];
  problems: readonly Problem[];
}

export type CanvasNode = Node<NodeData, "flow">;
/** `items` is the number of items that went over it in the run on the canvas, if it passed on a list. */
export type CanvasEdge = Edge<EdgeData, "flow">;

export interface EdgeData extends Record<string, unknown> {
  edge: FlowEdge;
  branch: Way;
  between: string;
  items: number | undefined;
  lane: Lane | undefined;
  /** True if an end is the card of a folded group, where it cannot be changed. */
  isFolded: boolean;
}

export const HANDLE = 12;
export const INTO = "into";

/** Return the handle id of an output; React Flow treats an empty id as none. */
export function handleOf(way: Way): string {
  return `by ${way ?? ""}`;
}

export function wayOf(handle: string | null | undefined): Way {
  return handle === null || handle === undefined || handle === handleOf(undefined) ? undefined : handle.slice(3);
}

function handlesOf(ways: readonly Way[], isTrigger: boolean): CanvasNode["handles"] {
  const size = { width: HANDLE, height: HANDLE };
  const places = placesOf(ways.length);
  const sources = ways.map((way, at) => ({
    id: handleOf(way),
    type: "source" as const,
    position: Position.Right,
    x: NODE.width - HANDLE / 2,
    y: (places[at] ?? 0) - HANDLE / 2,
    ...size,
  }));
  if (isTrigger) return sources;
  const y = heightOf(ways.length) / 2 - HANDLE / 2;
  return [{ id: INTO, type: "target", position: Position.Left, x: -HANDLE / 2, y, ...size }, ...sources];
}

export function isSameList<T>(one: readonly T[], other: readonly T[]): boolean {
  return one.length === other.length && one.every((item, at) => item === other[at]);
}

export interface View {
  definition: Definition;
  /** The nodes that are shown: those outside of folded groups. */
  shown: readonly FlowNode[];
  catalogue: Catalogue | undefined;
  check: Check | null;
  selected: readonly string[];
  moving: Moving;
}

const NO_PROBLEMS: readonly Problem[] = [];
const CENTER = { x: 0, y: 0 };

function labelOf(node: FlowNode, type: NodeType | undefined, problems: readonly Problem[]): string {
  const parts = [nameOf(node, type), subtitleOf(node, type)].filter((part) => part !== undefined);
  if (node.foreach !== undefined) parts.push("loops over items");
  if (node.repeat !== undefined) parts.push("repeats until a condition is met");
  if (node.disabled) parts.push("disabled");
  if (problems.length > 0) parts.push(`problem: ${problems.map(inWords).join("; ")}`);
  return parts.join(", ");
}

/** Return a function from editor state to React Flow nodes that reuses the previous objects where nothing changed. */
export function nodeMaker(): (view: View) => CanvasNode[] {
  const makeData = dataMaker();
  let before = new Map<string, CanvasNode>();
  let list: CanvasNode[] = [];
  return (view) => {
    const chosen = new Set(view.selected);
    const made = new Map<string, CanvasNode>();
    for (const data of makeData(view)) {
      const { id, position } = data.node;
      const place = view.moving?.get(id) ?? position ?? CENTER;
      made.set(id, shown(data, place, chosen.has(id), before.get(id)));
    }
    before = made;
    const next = [...made.values()];
    if (!isSameList(next, list)) list = next;
    return list;
  };
}

/** Return a function that makes the data of all nodes. During a drag, when only positions change, it does nothing. */
function dataMaker(): (view: View) => readonly NodeData[] {
  let latest: Omit<View, "selected" | "moving"> | undefined;
  let list: NodeData[] = [];
  let before = new Map<string, NodeData>();
  return (view) => {
    const isSame =
      latest?.definition === view.definition &&
      latest.shown === view.shown &&
      latest.catalogue === view.catalogue &&
      latest.check === view.check;
    if (isSame) return list;
    latest = view;
    const used = usedWays(view.definition.edges);
    list = view.shown.map((node) => dataOf(node, view, used.get(node.id) ?? [], before.get(node.id)));
    before = new Map(list.map((data) => [data.node.id, data]));
    return list;
  };
}

function dataOf(node: FlowNode, view: View, used: readonly Way[], old: NodeData | undefined): NodeData {
  const type = view.catalogue?.find(node.type);
  const ways = waysOf(node, view.check?.ways.get(node.id), view.catalogue, used);
  const open = ways.filter((way) => !used.includes(way));
  const problems = view.check?.byNode.get(node.id) ?? NO_PROBLEMS;
  const isOld =
    old !== undefined &&
    old.node === node &&
    old.type === type &&
    isSameList(old.ways, ways) &&
    isSameList(old.open, open) &&
    isSameList(old.problems.map(inWords), problems.map(inWords));
  return isOld ? old : { node, type, ways, open, problems };
}

// Tab stops only once, at the canvas; arrow keys move between nodes.
export const NO_STOP = { tabIndex: -1 };

function shown(data: NodeData, position: Place, selected: boolean, old: CanvasNode | undefined): CanvasNode {
  const isThere = old?.position.x === position.x && old.position.y === position.y;
  if (isThere && old.data === data && old.selected === selected) return old;
  const size = { width: NODE.width, height: heightOf(data.ways.length) };
  return {
    id: data.node.id,
    type: "flow",
    position,
    ...size,
    measured: size,
    handles: old?.data === data ? old.handles : handlesOf(data.ways, data.type?.trigger ?? false),
    selected,
    ariaLabel: labelOf(data.node, data.type, data.problems),
    domAttributes: NO_STOP,
    data,
  };
}

/** Return a function that returns the lane of an edge past the nodes as they are placed now. */
export function laneFinder(nodes: readonly CanvasNode[]): (edge: ShownEdge) => Lane | undefined {
  const boxes = new Map(nodes.map(({ id, position, height }) => [id, { ...NODE, ...position, height: height ?? 0 }]));
  const ways = new Map(nodes.map(({ id, data }) => [id, data.ways]));
  const all = [...boxes.values()];
  return ({ edge, source, target }) => {
    const [from, to, outputs] = [boxes.get(source), boxes.get(target), ways.get(source)];
    if (from === undefined || to === undefined || outputs === undefined) return undefined;
    const nth = outputs.indexOf(edge.branch);
    const start = { x: from.x + from.width, y: from.y + (placesOf(outputs.length)[nth] ?? 0) };
    return laneOf(start, { x: to.x, y: to.y + to.height / 2 }, all, nth > 0);
  };
}

function isSameLane(one: Lane | undefined, other: Lane | undefined): boolean {
  return one?.y === other?.y && one?.from === other?.from && one?.to === other?.to;
}

/** Return React Flow edges, reusing the previous objects where nothing changed. */
export function edgeMaker(): (
  shown: readonly ShownEdge[],
  selected: readonly string[],
  live: ReadonlySet<string>,
  called: (id: string) => string,
  counts?: Counts,
  laneFor?: (edge: ShownEdge) => Lane | undefined,
) => CanvasEdge[] {
  let before = new Map<string, CanvasEdge>();
  let list: CanvasEdge[] = [];
  return (edges, selected, live, called, counts, laneFor) => {
    const chosen = new Set(selected);
    const made = new Map<string, CanvasEdge>();
    for (const shownEdge of edges) {
      const { edge } = shownEdge;
      const id = edgeKey(edge);
      const old = before.get(id);
      const className = live.has(id) ? "live" : undefined;
      const between = `${called(edge.from)} and ${called(edge.to)}`;
      const items = live.has(id) ? itemsOver(edge, counts) : undefined;
      const lane = laneFor?.(shownEdge);
      const isOld =
        old !== undefined &&
        old.source === shownEdge.source &&
        old.target === shownEdge.target &&
        old.selected === chosen.has(id) &&
        old.className === className &&
        old.data?.between === between &&
        old.data.items === items &&
        isSameLane(old.data.lane, lane);
      const isFolded = shownEdge.source !== edge.from || shownEdge.target !== edge.to;
      const data = { edge, branch: edge.branch, between, items, lane, isFolded };
      made.set(id, isOld ? old : edgeOf(shownEdge, id, chosen.has(id), className, data));
    }
    before = made;
    const next = [...made.values()];
    if (!isSameList(next, list)) list = next;
    return list;
  };
}

function edgeOf(
  { edge, source, target }: ShownEdge,
  id: string,
  selected: boolean,
  className: string | undefined,
  data: EdgeData,
): CanvasEdge {
  const label = edgeLabel(edge, data.items);
  return {
    id,
    type: "flow",
    source,
    target,
    sourceHandle: handleOf(source === edge.from ? edge.branch : undefined),
    targetHandle: INTO,
    selected,
    className,
    reconnectable: selected && !data.isFolded,
    data,
    ariaLabel: `Between ${data.between}${label === undefined ? "" : `, ${label}`}`,
  };
}
