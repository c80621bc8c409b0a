/** Queries on the graph of a definition; pure, linear in its size. */
import type { Definition, FlowEdge } from "./types";

type Edges = Pick<Definition, "edges">;

function neighbours(edges: readonly FlowEdge[], forward: boolean): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const edge of edges) {
    const [near, far] = forward ? [edge.from, edge.to] : [edge.to, edge.from];
    const list = found.get(near);
    if (list === undefined) found.set(near, [far]);
    else list.push(far);
  }
  return found;
}

function reach(start: string, next: Map<string, string[]>): Set<string> {
  const seen = new Set<string>();
  const open = [start];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    for (const other of next.get(id) ?? []) {
      if (seen.has(other)) continue;
      seen.add(other);
      open.push(other);
    }
  }
  return seen;
}

/** Return the ids of all nodes before this one. */
export function ancestors(definition: Edges, id: string): Set<string> {
  return reach(id, neighbours(definition.edges, false));
}

/** Return the ids of all nodes after this one. */
export function descendants(definition: Edges, id: string): Set<string> {
  return reach(id, neighbours(definition.edges, true));
}

/** Return the reason why an edge between the two is not allowed; undefined if it is. */
export function refusalOf(
  definition: Definition,
  edge: FlowEdge,
  isTrigger: (type: string) => boolean,
): string | undefined {
  if (edge.from === edge.to) return "A node cannot be connected to itself";
  const target = definition.nodes.find((node) => node.id === edge.to);
  if (target !== undefined && isTrigger(target.type)) return "A trigger starts the flow and has no input";
  const twice = definition.edges.some(
    (one) => one.from === edge.from && one.to === edge.to && one.branch === edge.branch,
  );
  if (twice) return "These nodes are already connected";
  if (descendants(definition, edge.to).has(edge.from)) return "This would create a cycle";
  return undefined;
}

/** Return the id of a type's first node. */
export function baseOfId(type: string): string {
  return type.replace(/[^A-Za-z0-9_]/g, "_").replace(/^(\d)/, "_$1");
}

/** Return an unused id for a new node of the type, such as `http_2`. */
export function freshId(type: string, taken: Iterable<string>): string {
  const ids = new Set(taken);
  const base = baseOfId(type);
  if (!ids.has(base)) return base;
  let number = 2;
  while (ids.has(`${base}_${number}`)) number += 1;
  return `${base}_${number}`;
}
