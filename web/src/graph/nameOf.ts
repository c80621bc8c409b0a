import type { Catalogue, NodeType } from "@/api/catalogue";
import type { Definition, FlowNode } from "@/definition/types";

/** What a node is called wherever people read of it: its name, else that of its type. */
export function nameOf(node: Pick<FlowNode, "id" | "name">, type: NodeType | undefined): string {
  return node.name || type?.name || node.id;
}

/** The same for all nodes of a flow, by their ids. */
export function namesIn(definition: Definition, catalogue: Catalogue | undefined): Map<string, string> {
  return new Map(definition.nodes.map((node) => [node.id, nameOf(node, catalogue?.find(node.type))]));
}
