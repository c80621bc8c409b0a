/** Definitions in and out of JSON. Short edges (`["a", "b", "true"]`) become whole ones; nothing else is changed. */
import type { Definition, FlowEdge, FlowNode, FlowSettings, Json } from "./types";

/** What keeps a text from being a definition, for people. */
export class NotADefinition extends Error {}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function readEdge(raw: unknown, at: number): FlowEdge {
  if (Array.isArray(raw)) {
    const [from, to, branch] = raw;
    if (
      typeof from === "string" &&
      typeof to === "string" &&
      (branch === undefined || typeof branch === "string")
    ) {
      return branch === undefined ? { from, to } : { from, to, branch };
    }
  } else if (isObject(raw) && typeof raw.from === "string" && typeof raw.to === "string") {
    return typeof raw.branch === "string"
      ? { from: raw.from, to: raw.to, branch: raw.branch }
      : { from: raw.from, to: raw.to };
  }
  throw new NotADefinition(`edges[${at}] must be {"from": "a", "to": "b"} or ["a", "b"]`);
}

function readNode(raw: unknown, at: number): FlowNode {
  if (!isObject(raw) || typeof raw.id !== "string" || typeof raw.type !== "string") {
    throw new NotADefinition(`nodes[${at}] needs an id and a type, both texts`);
  }
  return raw as unknown as FlowNode;
}

/** The definition in a parsed JSON value; NotADefinition where it is none. */
export function readDefinition(value: unknown): Definition {
  if (!isObject(value)) throw new NotADefinition("A definition is a JSON object with nodes and edges");
  const { nodes = [], edges = [], settings } = value;
  if (!Array.isArray(nodes)) throw new NotADefinition("nodes must be a list");
  if (!Array.isArray(edges)) throw new NotADefinition("edges must be a list");
  const read: Definition = { nodes: nodes.map(readNode), edges: edges.map(readEdge) };
  if (isObject(settings)) read.settings = settings as FlowSettings;
  return read;
}

/** The definition in a JSON text; NotADefinition with the parser's words where it is no JSON. */
export function parseDefinition(text: string): Definition {
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch (error) {
    throw new NotADefinition(`This is no JSON: ${error instanceof Error ? error.message : error}`);
  }
  return readDefinition(value);
}
