import type { Definition } from "@/definition/types";
import { differences } from "../changes";

const AND = new Intl.ListFormat("en", { type: "conjunction" });

/** How another definition stands to this one, as what it has: "2 nodes more, 1 node different". */
export function comparedWith(one: Definition, other: Definition): string {
  const { added, removed, changed } = differences(one, other);
  const nodes = (count: number, word: string) =>
    count === 0 ? [] : [`${count} ${count === 1 ? "node" : "nodes"} ${word}`];
  const parts = [...nodes(added, "more"), ...nodes(removed, "fewer"), ...nodes(changed, "changed")];
  return parts.length === 0 ? "the same nodes, connected, placed or set otherwise" : AND.format(parts);
}
