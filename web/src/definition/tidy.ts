/** Tidy up a flow: left to right, long chains in rows, groups together, notes beside their nodes; pure. */
import {
  around,
  type Box,
  boxOfNote,
  FRAME,
  frameAround,
  groupKey,
  type IsFolded,
  noteKey,
} from "./annotations";
import { layered } from "./layers";
import { layOut } from "./layout";
import { inRows } from "./rows";
import { NODE, snap } from "./size";
import type { Definition, FlowGroup, FlowNode, Position } from "./types";

/** The maximum number of boxes for dagre; beyond it the layout takes too long. */
const MOST_FOR_DAGRE = 200;

interface Part {
  nodes: readonly FlowNode[];
  edges: Definition["edges"];
}

type Size = Pick<Box, "width" | "height">;

/** Return the positions of some boxes, in rows if they are a long chain. */
function positionsOf(
  ids: readonly string[],
  edges: Definition["edges"],
  sizeOf: (id: string) => Size,
): Map<string, Position> {
  const part = { nodes: ids.map((id) => ({ id, type: "" })), edges };
  if (ids.length === 0) return new Map();
  const found = ids.length > MOST_FOR_DAGRE ? layered(part, largest(ids.map(sizeOf))) : layOut(part, sizeOf);
  const boxes = new Map([...found].map(([id, { x, y }]) => [id, { x, y, ...sizeOf(id) }]));
  return inRows(boxes, edges);
}

function largest(sizes: readonly Size[]): Size {
  return {
    width: Math.max(...sizes.map((size) => size.width)),
    height: Math.max(...sizes.map((size) => size.height)),
  };
}

/** A group as one box: the places of its nodes within its frame. */
interface Unit {
  group: FlowGroup;
  size: Size;
  inner: ReadonlyMap<string, Position>;
}

function within({ nodes, edges }: Part): Definition["edges"] {
  const ids = new Set(nodes.map((node) => node.id));
  return edges.filter((edge) => ids.has(edge.from) && ids.has(edge.to));
}

/** A folded group keeps the arrangement of its nodes: only its card is placed. */
function foldedUnit(group: FlowGroup, nodes: readonly FlowNode[]): Unit {
  const places = nodes.map((node) => [node.id, node.position ?? { x: 0, y: 0 }] as const);
  const { x: left, y: top } = around(places.map(([, place]) => ({ ...place, ...NODE }))) ?? { x: 0, y: 0 };
  const inner = new Map(places.map(([id, { x, y }]) => [id, { x: x - left, y: y - top }]));
  return { group, size: NODE, inner };
}

function unitOf(group: FlowGroup, part: Part, heightOf: (id: string) => number): Unit {
  const sizeOf = (id: string) => ({ width: NODE.width, height: heightOf(id) });
  const ids = part.nodes.map((node) => node.id);
  const found = [...positionsOf(ids, within(part), sizeOf)];
  const boxes = found.map(([id, place]) => ({ ...place, ...sizeOf(id) }));
  const frame = frameAround(boxes) ?? { x: 0, y: 0, ...NODE };
  const inner = new Map(found.map(([id, { x, y }]) => [id, { x: snap(x - frame.x), y: snap(y - frame.y) }]));
  // As much space below as above, so that a row of nodes is level with the nodes beside the frame.
  return { group, size: { width: frame.width, height: frame.height + FRAME.top - FRAME.side }, inner };
}

function unitsOf(definition: Definition, heightOf: (id: string) => number, isFolded: IsFolded): Unit[] {
  return (definition.groups ?? []).flatMap((group) => {
    const members = new Set(group.nodes);
    const nodes = definition.nodes.filter((node) => members.has(node.id));
    if (nodes.length === 0) return [];
    const part = { nodes, edges: definition.edges };
    return [isFolded(group) ? foldedUnit(group, nodes) : unitOf(group, part, heightOf)];
  });
}

/** Return the edges between boxes, each pair of ends once. */
function edgesBetween(edges: Definition["edges"], boxOf: (id: string) => string): Definition["edges"] {
  const found = new Map<string, Definition["edges"][number]>();
  for (const edge of edges) {
    const [from, to] = [boxOf(edge.from), boxOf(edge.to)];
    const key = `${from} ${edge.branch ?? ""} ${to}`;
    if (from !== to && !found.has(key)) found.set(key, { ...edge, from, to });
  }
  return [...found.values()];
}

/** Return a position for each node, and for each note by its key. */
export function tidied(
  definition: Definition,
  heightOf: (id: string) => number = () => NODE.height,
  isFolded: IsFolded = () => false,
): Map<string, Position> {
  const units = new Map(
    unitsOf(definition, heightOf, isFolded).map((unit) => [groupKey(unit.group.id), unit]),
  );
  const unitBy = new Map([...units].flatMap(([key, { inner }]) => [...inner.keys()].map((id) => [id, key])));
  const boxOf = (id: string) => unitBy.get(id) ?? id;
  const ids = [...new Set(definition.nodes.map((node) => boxOf(node.id)))];
  const sizeOf = (id: string) => units.get(id)?.size ?? { width: NODE.width, height: heightOf(id) };
  const outer = positionsOf(ids, edgesBetween(definition.edges, boxOf), sizeOf);
  const places = new Map<string, Position>();
  for (const [key, { x, y }] of outer) {
    const at = { x: snap(x), y: snap(y) };
    const unit = units.get(key);
    if (unit === undefined) places.set(key, at);
    else for (const [id, inner] of unit.inner) places.set(id, { x: at.x + inner.x, y: at.y + inner.y });
  }
  for (const [key, place] of notePlaces(definition, places, heightOf)) places.set(key, place);
  return places;
}

function distance(one: Box, other: Box): number {
  const dx = Math.max(0, one.x - other.x - other.width, other.x - one.x - one.width);
  const dy = Math.max(0, one.y - other.y - other.height, other.y - one.y - one.height);
  return Math.hypot(dx, dy);
}

function overlaps(one: Box, other: Box): boolean {
  return distance(one, other) === 0;
}

/** Move each note with its nearest node, then up until it covers neither a node nor another note. */
function notePlaces(
  definition: Definition,
  places: ReadonlyMap<string, Position>,
  heightOf: (id: string) => number,
): Map<string, Position> {
  const found = new Map<string, Position>();
  const size = (id: string) => ({ width: NODE.width, height: heightOf(id) });
  const taken = [...places].map(([id, place]) => ({ ...place, ...size(id) }));
  for (const note of definition.notes ?? []) {
    const box = boxOfNote(note);
    let nearest: { id: string; x: number; y: number; gap: number } | undefined;
    for (const { id, position = { x: 0, y: 0 } } of definition.nodes) {
      const gap = distance(box, { ...position, ...size(id) });
      if (nearest === undefined || gap < nearest.gap) nearest = { id, ...position, gap };
    }
    const to = nearest && places.get(nearest.id);
    if (nearest === undefined || to === undefined) continue;
    const place = { ...box, x: snap(box.x + to.x - nearest.x), y: snap(box.y + to.y - nearest.y) };
    for (let under = firstUnder(place, taken); under !== undefined; under = firstUnder(place, taken))
      place.y = Math.floor((under.y - place.height - 20) / 20) * 20;
    taken.push(place);
    found.set(noteKey(note.id), { x: place.x, y: place.y });
  }
  return found;
}

function firstUnder(place: Box, taken: readonly Box[]): Box | undefined {
  return taken.find((other) => overlaps(place, other));
}
