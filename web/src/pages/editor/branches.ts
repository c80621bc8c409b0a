/** The ways by which one leaves a node: what its handles are and where edges may begin. */
import type { Catalogue } from "@/api/catalogue";
import { NODE } from "@/definition/layout";
import type { Definition, FlowNode } from "@/definition/types";

/** A branch's name; undefined is the unnamed way of a node without branches. */
export type Way = string | undefined;

/**
 * The ways of a node: those that the validator found for its config, until it has answered those of its type; the
 * branch `error` where the node has it; and whatever its edges leave by, so that no edge begins nowhere.
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

/** For each node the ways that its edges leave by. */
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

/** How tall a node with so many ways is. */
export function heightOf(ways: number): number {
  return Math.max(NODE.height, ways * ROW + 4);
}

/** Where the handle of each way is, from the node's upper edge. */
export function placesOf(ways: number): number[] {
  const height = heightOf(ways);
  return Array.from({ length: ways }, (_, at) => (height * (at + 1)) / (ways + 1));
}
