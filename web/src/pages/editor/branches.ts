/** The branches of a node: its handles, from which edges start. */
import type { Catalogue } from "@/api/catalogue";
import { type Definition, type FlowNode, NODE } from "@/definition/types";

/** A branch's name; undefined is the unnamed output of a node without branches. */
export type Way = string | undefined;

/**
 * Return the outputs of a node: those that the validator found for its config, before that those of its type; the
 * branch `error` if it is enabled; and the branches of its edges, so that every edge has a handle.
 */
export function waysOf(
  node: FlowNode,
  known: readonly Way[] | undefined,
  catalogue: Catalogue | undefined,
  used: readonly Way[] = [],
): Way[] {
  const usual = catalogue?.find(node.type)?.branches ?? [];
  const ways: Way[] = [...(known ?? (usual.length > 0 ? usual : [undefined]))];
  if (node.on_error === "branch" && !ways.includes("error")) ways.push("error");
  for (const way of used) if (!ways.includes(way)) ways.push(way);
  return ways;
}

/** Return the used outputs of each node. */
export function usedWays(edges: Definition["edges"]): Map<string, Way[]> {
  const used = new Map<string, Way[]>();
  for (const { from, branch } of edges) {
    const list = used.get(from);
    if (list === undefined) used.set(from, [branch]);
    else if (!list.includes(branch)) list.push(branch);
  }
  return used;
}

const ROW = 20;

/** Return the height of a node with that many outputs. */
export function heightOf(ways: number): number {
  return Math.max(NODE.height, ways * ROW + 4);
}

/** Return the offset of each output's handle from the top of the node. */
export function placesOf(ways: number): number[] {
  const height = heightOf(ways);
  return Array.from({ length: ways }, (_, at) => (height * (at + 1)) / (ways + 1));
}
