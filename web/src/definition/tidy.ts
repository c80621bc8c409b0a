/** Tidy up a flow: left to right, long chains in rows, groups together, notes beside their nodes; pure. */
import { around, type Box, boxOfNote, FRAME, frameAround, groupKey, type IsFolded, noteKey } from "./annotations";
import { columnsOf, layOut } from "./layout";
import { type Definition, type FlowGroup, type FlowNode, GAP, GRID, NODE, type Position, snap } from "./types";

// Cut a long flow into rows, like lines of a text, and lay out each row on its own: that takes linear time, and what
// branches off in one row does not move the others. Pure.

/** A flow narrower than this, of eight nodes, stays in one row. */
const ONE_ROW = 2_200;
/** A row narrower than this is not worth a cut: four nodes, as many as are readable beside the panel. */
const NARROWEST = 1_150;
/** The width of the whole in proportion to its height: about that of a screen. */
const RATIO = 1.8;
const BETWEEN = 80;
/** The widths between which a row may end, in proportion to the wanted width. */
const FROM = 0.6;
const TO = 1.2;
/** More edges across the end of a row would be hard to follow. */
const MAX_CROSSING = 3;
/** The maximum number of nodes in a row: dagre takes too long for more. */
const MAX_IN_ROW = 400;

interface Column {
  ids: string[];
  left: number;
  right: number;
  /** The number of nodes in this column and before it. */
  until: number;
}

interface Edge {
  from: string;
  to: string;
}

type Size = Pick<Box, "width" | "height">;

function sized(columns: readonly string[][], sizeOf: (id: string) => Size): Column[] {
  let [left, until] = [0, 0];
  return columns.map((ids) => {
    const right = left + Math.max(...ids.map((id) => sizeOf(id).width));
    until += ids.length;
    const column = { ids, left, right, until };
    left = right + GAP.x;
    return column;
  });
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

/** Return the ids in rows, cut where the fewest edges cross. */
function cut(columns: readonly Column[], across: readonly number[], wanted: number): string[][] {
  const rows: string[][] = [];
  let start = 0;
  while (start < columns.length) {
    const end = endOfRow(columns, across, wanted, start);
    rows.push(columns.slice(start, end + 1).flatMap(({ ids }) => ids));
    start = end + 1;
  }
  return rows;
}

function endOfRow(columns: readonly Column[], across: readonly number[], wanted: number, start: number): number {
  const left = columns[start]?.left ?? 0;
  const before = columns[start - 1]?.until ?? 0;
  const widthTo = (end: number) => (columns[end]?.right ?? 0) - left;
  const last = columns.length - 1;
  let best: { end: number; cost: number } | undefined;
  for (let end = start; end <= last; end += 1) {
    const isFull = (columns[end + 1]?.until ?? 0) - before > MAX_IN_ROW;
    if (end === last && widthTo(end) <= wanted * TO) return last;
    if (widthTo(end) > wanted * TO && best !== undefined) break;
    if (isFull) return best?.end ?? end;
    const crossing = across[end] ?? 0;
    if (widthTo(end) < wanted * FROM || crossing > MAX_CROSSING) continue;
    const cost = crossing + Math.abs(widthTo(end) - wanted) / wanted;
    if (best === undefined || cost < best.cost) best = { end, cost };
  }
  return best?.end ?? last;
}

/** Return the width at which rows of these columns together have the form of a screen; Infinity for a single row. */
function widthOfRow(columns: readonly Column[], sizeOf: (id: string) => Size): number {
  const width = columns.at(-1)?.right ?? 0;
  const heights = columns.map(({ ids }) => ids.reduce((sum, id) => sum + sizeOf(id).height + GAP.y, -GAP.y));
  const number = Math.sqrt(width / (Math.max(...heights) + BETWEEN) / RATIO);
  if (number < 1.5 || width <= ONE_ROW) return Number.POSITIVE_INFINITY;
  const widest = Math.max(NARROWEST, width / number) * TO;
  return width / Math.ceil(width / widest);
}

/** Return the positions of some boxes, in rows if they would be much wider than high. */
function positionsOf(
  ids: readonly string[],
  edges: Definition["edges"],
  sizeOf: (id: string) => Size,
): Map<string, Position> {
  const places = new Map<string, Position>();
  if (ids.length === 0) return places;
  const columns = sized(columnsOf({ nodes: ids.map((id) => ({ id })), edges }), sizeOf);
  const rows = cut(columns, crossings(columns, edges), widthOfRow(columns, sizeOf));
  let down = 0;
  for (const row of rows) {
    const members = new Set(row);
    const inside = edges.filter((edge) => members.has(edge.from) && members.has(edge.to));
    const part = { nodes: ids.filter((id) => members.has(id)).map((id) => ({ id })), edges: inside };
    const found = layOut(part, sizeOf, rows.length > 1);
    const bottom = Math.max(...[...found].map(([id, { y }]) => y + sizeOf(id).height));
    for (const [id, { x, y }] of found) places.set(id, { x, y: y + down });
    // In steps of the grid, so that all rows have the same distance.
    down += Math.ceil((bottom + BETWEEN) / GRID) * GRID;
  }
  return places;
}

interface Part {
  nodes: readonly FlowNode[];
  edges: Definition["edges"];
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

/** Return the definition with a position for every node: existing positions, else a new layout of all nodes. */
export function positioned(definition: Definition): Definition {
  if (definition.nodes.every((node) => node.position !== undefined)) return definition;
  const positions = tidied(definition);
  return { ...definition, nodes: definition.nodes.map((node) => ({ ...node, position: positions.get(node.id) })) };
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
