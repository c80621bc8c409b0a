/** Layout for very large flows: column by column, in linear time. */
import type { Definition, Position } from "./types";

interface Size {
  width: number;
  height: number;
}

const GAP = { across: 80, down: 40 };

/**
 * Return the column of each node: one to the right of all its predecessors. Nodes in a cycle stay in the first column.
 */
function columnsOf({ nodes, edges }: Pick<Definition, "nodes" | "edges">): Map<string, number> {
  const columns = new Map(nodes.map((node) => [node.id, 0]));
  const open = new Map(nodes.map((node) => [node.id, 0]));
  const after = new Map<string, string[]>(nodes.map((node) => [node.id, []]));
  for (const { from, to } of edges) {
    if (!columns.has(to)) continue;
    const list = after.get(from);
    if (list === undefined) continue;
    list.push(to);
    open.set(to, (open.get(to) ?? 0) + 1);
  }
  const ready = nodes.filter((node) => open.get(node.id) === 0).map((node) => node.id);
  for (const id of ready) {
    for (const next of after.get(id) ?? []) {
      columns.set(next, Math.max(columns.get(next) ?? 0, (columns.get(id) ?? 0) + 1));
      const left = (open.get(next) ?? 0) - 1;
      open.set(next, left);
      if (left === 0) ready.push(next);
    }
  }
  return columns;
}

/** Return each node's preferred vertical position: beside its predecessors, in the order of the columns. */
export function layered(definition: Pick<Definition, "nodes" | "edges">, size: Size): Map<string, Position> {
  const columns = columnsOf(definition);
  const before = new Map<string, string[]>();
  for (const { from, to } of definition.edges) {
    const list = before.get(to);
    if (list === undefined) before.set(to, [from]);
    else list.push(from);
  }
  const byColumn: string[][] = [];
  for (const [id, column] of columns) {
    byColumn[column] ??= [];
    byColumn[column].push(id);
  }
  const rows = new Map<string, number>();
  const positions = new Map<string, Position>();
  for (const [column, ids] of byColumn.entries()) {
    const wanted = new Map(ids.map((id) => [id, mean(before.get(id) ?? [], rows)]));
    ids.sort((a, b) => (wanted.get(a) ?? 0) - (wanted.get(b) ?? 0));
    let lowest = Number.NEGATIVE_INFINITY;
    for (const id of ids) {
      lowest = Math.max(Math.round(wanted.get(id) ?? 0), lowest + 1);
      rows.set(id, lowest);
      positions.set(id, { x: column * (size.width + GAP.across), y: lowest * (size.height + GAP.down) });
    }
  }
  return positions;
}

function mean(ids: readonly string[], rows: ReadonlyMap<string, number>): number {
  const known = ids.map((id) => rows.get(id)).filter((row) => row !== undefined);
  return known.length === 0 ? 0 : known.reduce((sum, row) => sum + row, 0) / known.length;
}
