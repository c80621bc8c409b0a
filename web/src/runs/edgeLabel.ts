/** Labels of the edges of a run; pure. */
import type { FlowEdge } from "@/definition/types";
import { count } from "@/ui/format";

/** The number of items by the node whose output is a list. */
export type Counts = ReadonlyMap<string, number>;

/** Return the label of an edge: its branch, and the number of items if it passed on a list; undefined for neither. */
export function edgeLabel(edge: Pick<FlowEdge, "branch">, items: number | undefined): string | undefined {
  const amount = items === undefined ? undefined : `${count(items)} ${items === 1 ? "item" : "items"}`;
  return [edge.branch, amount].filter((part) => part !== undefined).join(", ") || undefined;
}
