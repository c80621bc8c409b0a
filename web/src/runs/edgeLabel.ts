/** Labels of the edges of a run; pure. */
import type { FlowEdge } from "@/definition/types";
import { count } from "@/ui/format";

/** The number of items by the node whose output is a list, and by `keyOf` a branch. */
export type Counts = ReadonlyMap<string, number>;

/** The name of a branch in the counts: some nodes send different items to each branch. */
export function keyOf(nodeId: string, branch: string): string {
  return `${nodeId} ${branch}`;
}

/** Return the number of items that went over an edge, if they are known. */
export function itemsOver(edge: Pick<FlowEdge, "from" | "branch">, counts: Counts | undefined) {
  return counts?.get(keyOf(edge.from, edge.branch ?? "")) ?? counts?.get(edge.from);
}

/** Return the label of an edge: its branch, and the number of items if it passed on a list; undefined for neither. */
export function edgeLabel(edge: Pick<FlowEdge, "branch">, items: number | undefined): string | undefined {
  const amount = items === undefined ? undefined : `${count(items)} ${items === 1 ? "item" : "items"}`;
  return [edge.branch, amount].filter((part) => part !== undefined).join(", ") || undefined;
}
