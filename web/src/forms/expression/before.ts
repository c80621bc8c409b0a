/** The nodes whose outputs a node can read, and its input from its direct predecessors. */
import type { Definition, FlowNode, Json } from "@/definition/types";

export function predecessors(definition: Pick<Definition, "edges">, id: string): string[] {
  return [...new Set(definition.edges.filter((edge) => edge.to === id).map((edge) => edge.from))];
}

/** Return all nodes before this one, direct predecessors first. */
export function nodesBefore(definition: Definition, id: string): FlowNode[] {
  const byId = new Map(definition.nodes.map((node) => [node.id, node]));
  const seen = new Set([id]);
  const found: FlowNode[] = [];
  let row = [id];
  while (row.length > 0) {
    const next: string[] = [];
    for (const one of row) {
      for (const other of predecessors(definition, one)) {
        if (seen.has(other)) continue;
        seen.add(other);
        next.push(other);
        const node = byId.get(other);
        if (node !== undefined) found.push(node);
      }
    }
    row = next;
  }
  return found;
}

/** Return the input made from outputs: the only one, or an object of several by node id. */
export function inputOf(before: readonly string[], outputs: Record<string, Json>): Json | undefined {
  const known = before.filter((id) => outputs[id] !== undefined);
  const [only] = known;
  if (only === undefined) return undefined;
  if (before.length === 1) return outputs[only];
  return Object.fromEntries(known.map((id) => [id, outputs[id] as Json]));
}
