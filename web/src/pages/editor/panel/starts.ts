/** The triggers of a flow, with texts from the catalog; pure. */
import type { Catalogue } from "@/api/catalogue";
import type { Definition, FlowNode } from "@/definition/types";
import { cronInWords } from "@/forms/schema/cron";
import { kindOf } from "@/forms/schema/leaf";
import type { FieldSchema } from "@/forms/schema/types";
import { choiceLabel } from "@/forms/schema/words";
import { operationOf } from "@/graph/nameOf";
import { redacted } from "@/ui/redaction";

export interface Start {
  node: FlowNode;
  name: string;
  about: string;
  /** Its settings in brief: "At 3:00", "Path: orders/new". */
  brief: string;
  /** The path that starts it, relative to the server. */
  address: string | null;
}

const ADDRESS = /\bafter (\/(?:api\/[a-z/]*|forms)\/)/;
const LONGEST = 60;

type Properties = Record<string, FieldSchema>;

/** Return the settings of a node type by key. */
export function propertiesOf(catalogue: Catalogue | undefined, type: string): Properties {
  return (catalogue?.find(type)?.config_schema.properties ?? {}) as Properties;
}

/** Return the path of a node if one of its settings says that it is an address "after /api/…/" or "after /forms/". */
export function addressOf(node: FlowNode, properties: Properties): string | null {
  for (const [key, { description }] of Object.entries(properties)) {
    const root = ADDRESS.exec(description ?? "")?.[1];
    const path = node.config?.[key];
    if (root !== undefined && typeof path === "string" && path !== "") return root + path.replace(/^\/+/, "");
  }
  return null;
}

/** Return true if calls of an address start the node. */
export function isCalled(node: FlowNode, catalogue: Catalogue | undefined): boolean {
  return addressOf(node, propertiesOf(catalogue, node.type)) !== null;
}

/** Return a setting as text; null for defaults and credentials. */
function inWords(key: string, value: unknown, schema: FieldSchema | undefined): string | null {
  if (typeof value !== "string" && typeof value !== "number") return null;
  if (schema === undefined || value === schema.default || schema["x-credential"] || schema["x-secret"])
    return null;
  const words = kindOf(key, schema) === "cron" ? cronInWords(String(value)) : undefined;
  if (words !== undefined) return words.charAt(0).toUpperCase() + words.slice(1);
  const shown =
    schema.enum === undefined ? redacted(String(value)) : choiceLabel(value, schema["x-enum-labels"]);
  return `${schema.title ?? key}: ${shown}`;
}

function briefOf(node: FlowNode, properties: Properties): string {
  const words = Object.entries(node.config ?? {})
    .map(([key, value]) => inWords(key, value, properties[key]))
    .filter((part) => part !== null)
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
        brief: operationOf(node, type) ?? briefOf(node, properties),
        address: addressOf(node, properties),
      };
    });
}
