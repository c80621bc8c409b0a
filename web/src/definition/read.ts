/** Read definitions from JSON. Short edges (`["a", "b", "true"]`) are expanded; nothing else changes. */
import type { Definition, FlowEdge, FlowGroup, FlowNode, FlowNote, FlowSettings, Json } from "./types";

/** Raised if a text is not a definition; the message is shown to the user. */
export class NotADefinition extends Error {}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function readEdge(raw: unknown, at: number): FlowEdge {
  if (Array.isArray(raw)) {
    const [from, to, branch] = raw;
    if (typeof from === "string" && typeof to === "string" && (branch === undefined || typeof branch === "string")) {
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
    throw new NotADefinition(`nodes[${at}] must have an id and a type, both strings`);
  }
  return raw as unknown as FlowNode;
}

function readNote(raw: unknown, at: number): FlowNote {
  if (!isObject(raw) || typeof raw.id !== "string") throw new NotADefinition(`notes[${at}] must have an id, a string`);
  return raw as unknown as FlowNote;
}

function readGroup(raw: unknown, at: number): FlowGroup {
  const isComplete = isObject(raw) && typeof raw.id === "string" && Array.isArray(raw.nodes);
  if (!isComplete) throw new NotADefinition(`groups[${at}] must have an id and a list of nodes`);
  return raw as unknown as FlowGroup;
}

function isList(value: unknown, key: string): value is unknown[] {
  if (value === undefined || value === null) return false;
  if (!Array.isArray(value)) throw new NotADefinition(`${key} must be a list`);
  return true;
}

/** Return the definition in a parsed JSON value. Throws NotADefinition. */
export function readDefinition(value: unknown): Definition {
  if (!isObject(value)) throw new NotADefinition("A definition must be a JSON object with nodes and edges");
  const { nodes = [], edges = [], settings, notes, groups } = value;
  if (!Array.isArray(nodes)) throw new NotADefinition("nodes must be a list");
  if (!Array.isArray(edges)) throw new NotADefinition("edges must be a list");
  const read: Definition = { nodes: nodes.map(readNode), edges: edges.map(readEdge) };
  if (isObject(settings)) read.settings = settings as FlowSettings;
  if (isList(notes, "notes")) read.notes = notes.map(readNote);
  if (isList(groups, "groups")) read.groups = groups.map(readGroup);
  return read;
}

/** Return the definition in a JSON text. Throws NotADefinition with the parser's message. */
export function parseDefinition(text: string): Definition {
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch (error) {
    throw new NotADefinition(`Invalid JSON: ${error instanceof Error ? error.message : error}`);
  }
  return readDefinition(value);
}
