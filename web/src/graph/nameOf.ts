import type { Catalogue, NodeType } from "@/api/catalogue";
import type { Definition, FlowNode } from "@/definition/types";

/** Return the displayed name of a node: its own name, else its type's. */
export function nameOf(node: Pick<FlowNode, "id" | "name">, type: NodeType | undefined): string {
  return node.name || type?.name || node.id;
}

/** Return the displayed names of all nodes of a flow, by id. */
export function namesIn(definition: Definition, catalogue: Catalogue | undefined): Map<string, string> {
  return new Map(definition.nodes.map((node) => [node.id, nameOf(node, catalogue?.find(node.type))]));
}
