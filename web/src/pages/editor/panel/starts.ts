/** The triggers of a flow, with texts from the catalog; pure. */
import type { Catalogue, NodeType } from "@/api/catalogue";
import { ancestors } from "@/definition/graph";
import type { Definition, FlowNode } from "@/definition/types";
import { cronInWords } from "@/forms/schema/cron";
import { kindOf } from "@/forms/schema/leaf";
import { choiceLabel, type FieldSchema } from "@/forms/schema/types";
import { operationOf } from "@/graph/nameOf";

export interface Start {
  node: FlowNode;
  name: string;
  about: string;
  /** Its settings in brief: "At 3:00", "Path: orders/new". */
  brief: string;
  /** The path that starts it, relative to the server. */
  address: string | null;
}

const ROOT = /\bafter (\/(?:api\/[a-z/]*|forms)\/)/;
const LONGEST = 60;

type Properties = Record<string, FieldSchema>;

/** Return the settings of a node type by key. */
export function propertiesOf(catalogue: Catalogue | undefined, type: string): Properties {
  return (catalogue?.find(type)?.config_schema.properties ?? {}) as Properties;
}

/** Return the path of a node if one of its settings says that it is an address "after /api/…/" or "after /forms/". */
export function addressOf(node: FlowNode, properties: Properties): string | null {
  for (const [key, { description }] of Object.entries(properties)) {
    const root = ROOT.exec(description ?? "")?.[1];
    const path = node.config?.[key];
    if (root !== undefined && typeof path === "string" && path !== "") return root + path.replace(/^\/+/, "");
  }
  return null;
}

/** Return the address that starts the flow as the editor shows it, while the server listens for a test call. */
export function testAddressOf(flowId: string, address: string): string {
  return address
    .replace(/^\/api\/webhooks\//, `/api/webhooks-test/${flowId}/`)
    .replace(/^\/forms\//, `/forms-test/${flowId}/`);
}

function randomDigits(bytes: number): string {
  const made = crypto.getRandomValues(new Uint8Array(bytes));
  return Array.from(made, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Return a free path for a new trigger: from the flow's name, or one for a service that nobody can guess. */
export function newPath(type: string, flow: string, isSecret: boolean): string {
  if (isSecret) return `${type.replace(/_trigger$/, "")}/${randomDigits(12)}`;
  const words = flow
    .normalize("NFKD")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 40)
    .replace(/^-+|-+$/g, "");
  return `${words || type}-${randomDigits(3)}`;
}

/** Return the node with a path of its own, if its type needs one and it has none: it is valid at once. */
export function withPath<Node extends { type: string; config?: FlowNode["config"] }>(
  node: Node,
  type: NodeType | undefined,
  flow: string,
): Node {
  const { properties = {}, required = [] } = (type?.config_schema ?? {}) as FieldSchema;
  const key = Object.keys(properties).find((one) => ROOT.test(properties[one]?.description ?? ""));
  if (key === undefined || !required.includes(key) || node.config?.[key] !== undefined) return node;
  // The calls of a service that signs nothing are proved by their address alone.
  const isSecret = properties[key]?.["x-advanced"] === true;
  return { ...node, config: { ...node.config, [key]: newPath(node.type, flow, isSecret) } };
}

/** Return true if calls of an address start the node. */
export function isCalled(node: FlowNode, catalogue: Catalogue | undefined): boolean {
  return addressOf(node, propertiesOf(catalogue, node.type)) !== null;
}

/** Return a setting as text; null for defaults and credentials. */
function inWords(key: string, value: unknown, schema: FieldSchema | undefined): string | null {
  if (typeof value !== "string" && typeof value !== "number") return null;
  if (schema === undefined || value === schema.default || schema["x-credential"] || schema["x-secret"]) return null;
  const words = kindOf(key, schema) === "cron" ? cronInWords(String(value)) : undefined;
  if (words !== undefined) return words.charAt(0).toUpperCase() + words.slice(1);
  const shown = schema.enum === undefined ? redacted(String(value)) : choiceLabel(value, schema["x-enum-labels"]);
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

// Webhooks that do not send the response of a Respond node, with texts from the catalog; pure.

// The catalog does not say which types respond: the type and the setting are those of webhooks.
const RESPONDER = "respond";
const SETTING = "respond";
const BY_NODE = "node";
const STREAM = "stream";

interface Unsent {
  /** The webhook. */
  node: FlowNode;
  name: string;
  /** The title of its setting, and the label of its value. */
  title: string;
  now: string;
}

/** Return the webhooks before the node that send another response than the node's. */
export function unsentBy(definition: Definition, catalogue: Catalogue | undefined, node: FlowNode): readonly Unsent[] {
  if (node.type !== RESPONDER || node.disabled) return [];
  const before = ancestors(definition, node.id);
  return definition.nodes.flatMap((one) => {
    const type = catalogue?.find(one.type);
    const setting = (type?.config_schema as FieldSchema | undefined)?.properties?.[SETTING];
    if (!before.has(one.id) || one.disabled || !type?.trigger || !setting?.enum?.includes(BY_NODE)) return [];
    const value = one.config?.[SETTING] ?? setting.default;
    if (value === BY_NODE || value === STREAM || value === undefined || !setting.enum.includes(value)) return [];
    return [
      {
        node: one,
        name: one.name || type.name,
        title: setting.title ?? SETTING,
        now: choiceLabel(value, setting["x-enum-labels"]),
      },
    ];
  });
}

/** Return the webhook's config with which the node's response is sent. */
export function respondingByNode({ node }: Unsent): NonNullable<FlowNode["config"]> {
  return { ...node.config, [SETTING]: BY_NODE };
}

/** Remove parts that may be secret from the text of a setting, for places that show it in brief. */

const ADDRESS = /^([a-z][a-z\d+.-]*:\/\/)(?:[^/?#]*@)?/i;
/** A change between upper case, lower case and digits: frequent in tokens, rare in words. */
const CHANGE = /[a-z](?=\d|[A-Z](?![a-z]{2}))|[A-Z](?=\d)|\d(?=[a-zA-Z])/g;
const TOKEN_LENGTH = 12;
const TOKEN_CHANGES = 4;
const LONGEST_WORD = /[a-z\d]{24}/i;

function isToken(part: string): boolean {
  const changes = part.match(CHANGE)?.length ?? 0;
  return LONGEST_WORD.test(part) || (part.length >= TOKEN_LENGTH && changes >= TOKEN_CHANGES);
}

/** Return the text without a user and password, a query, and parts of a path that look like tokens. */
export function redacted(text: string): string {
  const [path = "", ...query] = text.replace(ADDRESS, "$1").split(/[?#]/);
  const parts = path.split("/").map((part) => (isToken(part) ? "…" : part));
  return parts.join("/") + (query.length > 0 ? "?…" : "");
}
