/** Wrap a long layout from left to right into rows, like lines of a text; pure. */
import type { Box } from "./annotations";
import { GRID } from "./size";
import type { Position } from "./types";

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

export interface Edge {
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

function endOfRow(
  columns: readonly Column[],
  across: readonly number[],
  wanted: number,
  start: number,
): number {
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
export function inRows(boxes: ReadonlyMap<string, Box>, edges: readonly Edge[]): Map<string, Position> {
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
