import type { Definition } from "@/definition/types";
import { differences } from "../changes";

const AND = new Intl.ListFormat("en", { type: "conjunction" });

/** Return how another definition differs from this one: "2 nodes more and 1 node changed". */
export function comparedWith(one: Definition, other: Definition): string {
  const { added, removed, changed } = differences(one, other);
  const nodes = (count: number, word: string) =>
    count === 0 ? [] : [`${count} ${count === 1 ? "node" : "nodes"} ${word}`];
  const parts = [...nodes(added, "more"), ...nodes(removed, "fewer"), ...nodes(changed, "changed")];
  return parts.length === 0
    ? "the same nodes with other connections, positions or settings"
    : AND.format(parts);
}
