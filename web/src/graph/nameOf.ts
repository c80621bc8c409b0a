import type { NodeType } from "@/api/catalogue";
import type { FlowNode } from "@/definition/types";

/** What a node is called wherever people read of it: its name, else that of its type. */
export function nameOf(node: Pick<FlowNode, "id" | "name">, type: NodeType | undefined): string {
  return node.name || type?.name || node.id;
}
