/** Node positions from left to right along the edges, computed by dagre. */

import { Graph, layout } from "@dagrejs/dagre";
import { type FlowEdge, GAP, type Position, roomOf } from "./types";

interface Part {
  nodes: readonly { id: string }[];
  edges: readonly FlowEdge[];
}

/**
 * Return the ids in columns: each node one column to the right of its predecessors, and a node without predecessors
 * beside its first successor. Nodes in a cycle are in the first column. Takes linear time.
 */
export function columnsOf({ nodes, edges }: Part): string[][] {
  const columns = new Map(nodes.map((node) => [node.id, 0]));
  const open = new Map(columns);
  const after = new Map<string, string[]>(nodes.map((node) => [node.id, []]));
  for (const { from, to } of edges) {
    if (!columns.has(to) || !columns.has(from)) continue;
    after.get(from)?.push(to);
    open.set(to, (open.get(to) ?? 0) + 1);
  }
  const starts = nodes.filter((node) => open.get(node.id) === 0).map((node) => node.id);
  const ready = [...starts];
  const columnOf = (id: string) => columns.get(id) ?? 0;
  for (const id of ready) {
    for (const next of after.get(id) ?? []) {
      columns.set(next, Math.max(columnOf(next), columnOf(id) + 1));
      const left = (open.get(next) ?? 0) - 1;
      open.set(next, left);
      if (left === 0) ready.push(next);
    }
  }
  for (const id of starts) {
    const next = (after.get(id) ?? []).reduce((first, one) => Math.min(first, columnOf(one)), Infinity);
    if (next !== Infinity) columns.set(id, Math.max(0, next - 1));
  }
  const found: string[][] = [];
  for (const [id, column] of columns) {
    found[column] ??= [];
    found[column].push(id);
  }
  return found.filter((ids) => ids !== undefined);
}

/** Nodes after a node's first output come above those after its second, as the outputs themselves do. */
function inOrder({ nodes, edges }: Part): { left: string; right: string }[] {
  const there = new Set(nodes.map((node) => node.id));
  const latest = new Map<string, FlowEdge>();
  const found: { left: string; right: string }[] = [];
  const seen = new Set<string>();
  for (const edge of errorsLast(edges)) {
    const { from, to, branch } = edge;
    if (!there.has(to) || seen.has(to)) continue;
    seen.add(to);
    const before = latest.get(from);
    if (before !== undefined && before.branch !== branch) found.push({ left: before.to, right: to });
    latest.set(from, edge);
  }
  return found;
}

/** The output for errors is the last one of each node. */
function errorsLast(edges: readonly FlowEdge[]): FlowEdge[] {
  return [...edges].sort((one, other) => Number(one.branch === "error") - Number(other.branch === "error"));
}

/**
 * Return the upper left corner of each box, ignoring former positions and dangling edges. What a node branches into is
 * beside the middle of that node; if `isStraight`, its first branch stays in line, so that long flows do not slant.
 */
export function layOut(
  part: Part,
  sizeOf: (id: string) => { width: number; height: number },
  isStraight = false,
): Map<string, Position> {
  const graph = new Graph({ multigraph: true });
  const align = isStraight ? { align: "UL" as const } : {};
  graph.setGraph({ rankdir: "LR", nodesep: GAP.y, ranksep: GAP.x, ...align });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { id } of part.nodes) graph.setNode(id, { ...sizeOf(id) });
  for (const [at, { from, to, branch }] of part.edges.entries()) {
    const label = { width: roomOf(branch), height: 1, labelpos: "c" };
    if (graph.hasNode(from) && graph.hasNode(to)) graph.setEdge(from, to, label, String(at));
  }
  layout(graph, { constraints: inOrder(part) });
  const positions = new Map<string, Position>();
  for (const { id } of part.nodes) {
    const { x, y } = graph.node(id) as Position;
    const { width, height } = sizeOf(id);
    positions.set(id, { x: x - width / 2, y: y - height / 2 });
  }
  return positions;
}
