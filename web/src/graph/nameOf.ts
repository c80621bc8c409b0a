import type { Catalogue, NodeType } from "@/api/catalogue";
import type { Definition, FlowNode } from "@/definition/types";

/** Return the displayed name of a node: its own name, else its type's. */
export function nameOf(node: Pick<FlowNode, "id" | "name">, type: NodeType | undefined): string {
  return node.name || type?.name || node.id;
}

/** Return the name of the operation that a connector's node calls; undefined for other nodes. */
export function operationOf(node: Pick<FlowNode, "config">, type: NodeType | undefined): string | undefined {
  const id = node.config?.operation;
  const found = type?.operations?.find((one) => one.id === id);
  return found?.name ?? (type?.operations && typeof id === "string" && id !== "" ? id : undefined);
}

/** Return the displayed names of all nodes of a flow, by id. */
export function namesIn(definition: Definition, catalogue: Catalogue | undefined): Map<string, string> {
  return new Map(definition.nodes.map((node) => [node.id, nameOf(node, catalogue?.find(node.type))]));
}
