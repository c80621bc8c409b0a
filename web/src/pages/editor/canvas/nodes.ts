/** The definition in React Flow's format. Unchanged parts stay the same objects, so that they do not re-render. */
import { type Edge, type Node, Position } from "@xyflow/react";
import type { Catalogue, NodeType } from "@/api/catalogue";
import { NODE } from "@/definition/layout";
import type { Definition, FlowNode, Position as Place } from "@/definition/types";
import { nameOf } from "@/graph/nameOf";
import { type Counts, edgeLabel } from "@/runs/edgeLabel";
import { heightOf, placesOf, usedWays, type Way, waysOf } from "../branches";
import { edgeKey } from "../changes";
import { type Check, inWords, type Problem } from "../problems";

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
export type CanvasEdge = Edge<{ branch: Way; between: string; items: number | undefined }, "flow">;

const HANDLE = 12;
export const INTO = "into";

/** Return the handle id of an output; React Flow treats an empty id as none. */
export function handleOf(way: Way): string {
  return `by ${way ?? ""}`;
}

export function wayOf(handle: string | null | undefined): Way {
  return handle === null || handle === undefined || handle === handleOf(undefined)
    ? undefined
    : handle.slice(3);
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

function isSameList<T>(one: readonly T[], other: readonly T[]): boolean {
  return one.length === other.length && one.every((item, at) => item === other[at]);
}

export interface View {
  definition: Definition;
  catalogue: Catalogue | undefined;
  check: Check | null;
  selected: readonly string[];
  /** Positions of nodes during a drag. */
  moving: ReadonlyMap<string, Place> | null;
}

const NO_PROBLEMS: readonly Problem[] = [];
const CENTER = { x: 0, y: 0 };

function labelOf(node: FlowNode, type: NodeType | undefined, problems: readonly Problem[]): string {
  // As on the card: the name, and below it the type, or the id if the name is the type's.
  const below = node.name ? type?.name : node.id;
  const parts = [nameOf(node, type), type === undefined ? `unknown type ${node.type}` : (below ?? "")];
  if (node.disabled) parts.push("disabled");
  if (problems.length > 0) parts.push(`problem: ${problems.map(inWords).join("; ")}`);
  return parts.join(", ");
}

/** Return a function from editor state to React Flow nodes that reuses the previous objects where nothing changed. */
export function nodeMaker(): (view: View) => CanvasNode[] {
  let before = new Map<string, CanvasNode>();
  let list: CanvasNode[] = [];
  return (view) => {
    const chosen = new Set(view.selected);
    const used = usedWays(view.definition.edges);
    const made = new Map<string, CanvasNode>();
    for (const node of view.definition.nodes) {
      const data = dataOf(node, view, used.get(node.id) ?? [], before.get(node.id)?.data);
      const position = view.moving?.get(node.id) ?? node.position ?? CENTER;
      made.set(node.id, shown(data, position, chosen.has(node.id), before.get(node.id)));
    }
    before = made;
    const next = [...made.values()];
    if (!isSameList(next, list)) list = next;
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
const NO_STOP = { tabIndex: -1 };

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

/** Return React Flow edges, reusing the previous objects where nothing changed. */
export function edgeMaker(): (
  definition: Definition,
  selected: readonly string[],
  live: ReadonlySet<string>,
  called: (id: string) => string,
  counts?: Counts,
) => CanvasEdge[] {
  let before = new Map<string, CanvasEdge>();
  let list: CanvasEdge[] = [];
  return (definition, selected, live, called, counts) => {
    const chosen = new Set(selected);
    const made = new Map<string, CanvasEdge>();
    for (const edge of definition.edges) {
      const id = edgeKey(edge);
      const old = before.get(id);
      const className = live.has(id) ? "live" : undefined;
      const between = `${called(edge.from)} and ${called(edge.to)}`;
      const items = live.has(id) ? counts?.get(edge.from) : undefined;
      const isOld =
        old !== undefined &&
        old.selected === chosen.has(id) &&
        old.className === className &&
        old.data?.between === between &&
        old.data.items === items;
      const data = { branch: edge.branch, between, items };
      made.set(id, isOld ? old : edgeOf(edge, id, chosen.has(id), className, data));
    }
    before = made;
    const next = [...made.values()];
    if (!isSameList(next, list)) list = next;
    return list;
  };
}

function edgeOf(
  edge: Definition["edges"][number],
  id: string,
  selected: boolean,
  className: string | undefined,
  data: NonNullable<CanvasEdge["data"]>,
): CanvasEdge {
  const label = edgeLabel(edge, data.items);
  return {
    id,
    type: "flow",
    source: edge.from,
    target: edge.to,
    sourceHandle: handleOf(edge.branch),
    targetHandle: INTO,
    selected,
    className,
    reconnectable: selected,
    data,
    ariaLabel: `Between ${data.between}${label === undefined ? "" : `, ${label}`}`,
  };
}
