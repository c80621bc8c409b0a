/** Node positions from left to right along the edges, computed by dagre. */

import { Graph, layout } from "@dagrejs/dagre";
import { type Definition, NODE, type Position, snap } from "./types";

// Layout for very large flows: column by column, in linear time.

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

/** The maximum number of nodes for dagre; beyond it the layout takes too long. */
const MOST_FOR_DAGRE = 150;

/** Edges of a node's first branch come above those of its second branch, and so on. */
function inOrder({ nodes, edges }: Pick<Definition, "nodes" | "edges">): { left: string; right: string }[] {
  const there = new Set(nodes.map((node) => node.id));
  const latest = new Map<string, { branch: string; to: string }>();
  const found: { left: string; right: string }[] = [];
  const seen = new Set<string>();
  for (const { from, to, branch } of edges) {
    if (branch === undefined || !there.has(to) || seen.has(to)) continue;
    seen.add(to);
    const before = latest.get(from);
    if (before !== undefined && before.branch !== branch) found.push({ left: before.to, right: to });
    latest.set(from, { branch, to });
  }
  return found;
}

/** Return the upper left corner of each box, ignoring former positions and dangling edges. */
export function layOut(
  definition: Pick<Definition, "nodes" | "edges">,
  sizeOf: (id: string) => { width: number; height: number },
): Map<string, Position> {
  const graph = new Graph({ multigraph: true });
  graph.setGraph({ rankdir: "LR", nodesep: 40, ranksep: 100 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of definition.nodes) graph.setNode(node.id, { ...sizeOf(node.id) });
  for (const [at, edge] of definition.edges.entries()) {
    if (graph.hasNode(edge.from) && graph.hasNode(edge.to)) graph.setEdge(edge.from, edge.to, {}, String(at));
  }
  layout(graph, { constraints: inOrder(definition) });
  const positions = new Map<string, Position>();
  for (const { id } of definition.nodes) {
    const { x, y } = graph.node(id) as Position;
    const { width, height } = sizeOf(id);
    positions.set(id, { x: x - width / 2, y: y - height / 2 });
  }
  return positions;
}

/** Return a position for each node id in one layout without rows, for graphs that are only read. */
function arrange(definition: Pick<Definition, "nodes" | "edges">): Map<string, Position> {
  const found = layOut(definition, () => NODE);
  return new Map([...found].map(([id, { x, y }]) => [id, { x: snap(x), y: snap(y) }]));
}

/** Return the definition with a position for every node: existing positions, else a new layout of all nodes. */
export function positioned(definition: Definition): Definition {
  if (definition.nodes.every((node) => node.position !== undefined)) return definition;
  const isLarge = definition.nodes.length > MOST_FOR_DAGRE;
  const positions = isLarge ? layered(definition, NODE) : arrange(definition);
  return {
    ...definition,
    nodes: definition.nodes.map((node) => ({ ...node, position: positions.get(node.id) })),
  };
}
