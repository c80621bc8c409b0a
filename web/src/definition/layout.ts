/** Node positions from left to right along the edges, computed by dagre. */
import { Graph, layout } from "@dagrejs/dagre";
import { layered } from "./layers";
import { NODE, snap } from "./size";
import type { Definition, Position } from "./types";

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
