/** Tidy up a flow: left to right, long chains in rows, groups together, notes beside their nodes; pure. */
import { around, type Box, boxOfNote, FRAME, frameAround, groupKey, type IsFolded, noteKey } from "./annotations";
import { layered, layOut } from "./layout";
import { type Definition, type FlowGroup, type FlowNode, GRID, NODE, type Position, snap } from "./types";

// Wrap a long layout from left to right into rows, like lines of a text; pure.

/** A row narrower than this is not worth a wrap. */
const NARROWEST = 1_600;
/** The width of the whole in proportion to its height: about that of a screen. */
const RATIO = 1.8;
const GAP = 100;
/** The widths between which a row may end, in proportion to the wanted width. */
const FROM = 0.6;
const TO = 1.2;
/** More edges across the end of a row would be hard to follow. */
const MAX_CROSSING = 3;

interface Column {
  ids: string[];
  left: number;
  right: number;
}

interface Edge {
  from: string;
  to: string;
}

/** Return the columns of a layout from left to right. Boxes whose middles overlap others' widths share a column. */
function columnsOf(boxes: ReadonlyMap<string, Box>): Column[] {
  const columns: Column[] = [];
  const sorted = [...boxes].sort(([, one], [, other]) => one.x - other.x);
  for (const [id, { x, width }] of sorted) {
    const last = columns.at(-1);
    if (last !== undefined && x < last.right) {
      last.ids.push(id);
      last.right = Math.max(last.right, x + width);
    } else columns.push({ ids: [id], left: x, right: x + width });
  }
  return columns;
}

/** Return how many edges go across the end of each column. */
function crossings(columns: readonly Column[], edges: readonly Edge[]): number[] {
  const at = new Map(columns.flatMap(({ ids }, place) => ids.map((id) => [id, place] as const)));
  const changes = new Array<number>(columns.length + 1).fill(0);
  for (const { from, to } of edges) {
    const [one, other] = [at.get(from) ?? 0, at.get(to) ?? 0];
    changes[Math.min(one, other)] = (changes[Math.min(one, other)] ?? 0) + 1;
    changes[Math.max(one, other)] = (changes[Math.max(one, other)] ?? 0) - 1;
  }
  let open = 0;
  return columns.map((_, place) => {
    open += changes[place] ?? 0;
    return open;
  });
}

/** Return the columns in rows, broken where the fewest edges cross. */
function rowsOf(columns: readonly Column[], across: readonly number[], wanted: number): Column[][] {
  const rows: Column[][] = [];
  let start = 0;
  while (start < columns.length) {
    const end = endOfRow(columns, across, wanted, start);
    rows.push(columns.slice(start, end + 1));
    start = end + 1;
  }
  return rows;
}

function endOfRow(columns: readonly Column[], across: readonly number[], wanted: number, start: number): number {
  const left = columns[start]?.left ?? 0;
  const widthTo = (end: number) => (columns[end]?.right ?? 0) - left;
  const last = columns.length - 1;
  if (widthTo(last) <= wanted * TO) return last;
  let best: { end: number; cost: number } | undefined;
  for (let end = start; end < last; end += 1) {
    if (widthTo(end) < wanted * FROM) continue;
    const crossing = across[end] ?? 0;
    if (widthTo(end) > wanted * TO && best !== undefined) break;
    if (crossing > MAX_CROSSING) continue;
    const cost = crossing + Math.abs(widthTo(end) - wanted) / wanted;
    if (best === undefined || cost < best.cost) best = { end, cost };
  }
  return best?.end ?? last;
}

/** Return the positions of the boxes, in rows if they would be much wider than high. */
function inRows(boxes: ReadonlyMap<string, Box>, edges: readonly Edge[]): Map<string, Position> {
  const all = [...boxes.values()];
  const left = Math.min(...all.map((box) => box.x));
  const top = Math.min(...all.map((box) => box.y));
  const width = Math.max(...all.map((box) => box.x + box.width)) - left;
  const height = Math.max(...all.map((box) => box.y + box.height)) - top;
  const number = Math.sqrt(width / (height + GAP) / RATIO);
  const wanted = Math.max(NARROWEST, width / Math.max(1, number));
  const places = new Map([...boxes].map(([id, { x, y }]) => [id, { x, y }]));
  if (number < 1.5 || width <= wanted * TO) return places;
  const columns = columnsOf(boxes);
  let down = top;
  for (const row of rowsOf(columns, crossings(columns, edges), wanted)) {
    const found = row.flatMap(({ ids }) => ids.map((id) => [id, boxes.get(id) as Box] as const));
    const rowTop = Math.min(...found.map(([, box]) => box.y));
    const rowBottom = Math.max(...found.map(([, box]) => box.y + box.height));
    const shift = left - (row[0]?.left ?? 0);
    for (const [id, { x, y }] of found) places.set(id, { x: x + shift, y: y - rowTop + down });
    // In steps of the grid, so that all rows have the same distance.
    down += Math.ceil((rowBottom - rowTop + GAP) / GRID) * GRID;
  }
  return places;
}

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
  const units = new Map(unitsOf(definition, heightOf, isFolded).map((unit) => [groupKey(unit.group.id), unit]));
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
