/** How a flow starts, read from its triggers and what the catalogue says of them; pure. */
import type { Catalogue } from "@/api/catalogue";
import type { Definition, FlowNode } from "@/definition/types";

export interface Start {
  node: FlowNode;
  name: string;
  about: string;
  /** Its settings in a few words: `cron: 0 3 * * *`. */
  brief: string;
  /** The address that starts it, from the server's root. */
  address: string | null;
}

const ADDRESS = /\bafter (\/api\/[a-z/]*\/)/;
const LONGEST = 60;

interface Property {
  description?: string;
}

function propertiesOf(catalogue: Catalogue | undefined, type: string): Record<string, Property> {
  return (catalogue?.find(type)?.config_schema.properties ?? {}) as Record<string, Property>;
}

/** A setting that says it is an address "after /api/…/" makes one. */
function addressOf(node: FlowNode, properties: Record<string, Property>): string | null {
  for (const [key, { description }] of Object.entries(properties)) {
    const root = ADDRESS.exec(description ?? "")?.[1];
    const path = node.config?.[key];
    if (root !== undefined && typeof path === "string" && path !== "") return root + path.replace(/^\/+/, "");
  }
  return null;
}

function briefOf(node: FlowNode): string {
  const words = Object.entries(node.config ?? {})
    .filter(([, value]) => typeof value === "string" || typeof value === "number")
    .map(([key, value]) => `${key}: ${value}`)
    .join(", ");
  return words.length > LONGEST ? `${words.slice(0, LONGEST)}…` : words;
}

export function startsOf(definition: Definition, catalogue: Catalogue | undefined): Start[] {
  return definition.nodes
    .filter((node) => catalogue?.find(node.type)?.trigger && !node.disabled)
    .map((node) => {
      const type = catalogue?.find(node.type);
      const properties = propertiesOf(catalogue, node.type);
      const name = node.name || type?.name || node.id;
      return {
        node,
        name,
        about: type?.description ?? "",
        brief: briefOf(node),
        address: addressOf(node, properties),
      };
    });
}
