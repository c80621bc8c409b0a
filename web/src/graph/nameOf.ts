import type { Catalogue, NodeType } from "@/api/catalogue";
import { baseOfId } from "@/definition/graph";
import type { Definition, FlowNode } from "@/definition/types";

/** Return the displayed name of a node: its own name, else its type's, with the number in the id of a second one. */
export function nameOf(node: Pick<FlowNode, "id" | "name">, type: NodeType | undefined): string {
  if (node.name || type === undefined) return node.name || node.id;
  const number = /_(\d+)$/.exec(node.id);
  const isNumbered = number !== null && node.id === `${baseOfId(type.type)}${number[0]}`;
  return isNumbered ? `${type.name} ${number[1]}` : type.name;
}

/** Return the line below the name: the title of its operation, else of its type; undefined if the name says it. */
export function subtitleOf(node: FlowNode, type: NodeType | undefined): string | undefined {
  if (type === undefined) return `unknown type ${node.type}`;
  return operationOf(node, type) ?? (node.name && node.name !== type.name ? type.name : undefined);
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
