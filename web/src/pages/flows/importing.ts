/** Detect the format of a text to import; pure. */
import { NotADefinition, readDefinition } from "@/definition/read";
import type { Definition, FlowNode, Json } from "@/definition/types";

export type Imported =
  | { kind: "nothing" }
  | { kind: "flow"; name: string | undefined; definition: Definition }
  | { kind: "curl"; command: string }
  | { kind: "n8n" }
  | { kind: "refused"; reason: string };

/** The size limit of files in bytes: above the maximum size of a definition. */
export const LARGEST_FILE = 10_000_000;

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Read an exported flow (`definition`), a flow of the API (`definition_json`), or a bare definition. */
function readFlow(value: Record<string, unknown>): Imported {
  const text = value.definition_json;
  const inner = typeof text === "string" ? (JSON.parse(text) as Json) : value.definition;
  const name = typeof value.name === "string" && value.name.trim() !== "" ? value.name.trim() : undefined;
  if (inner === undefined && value.nodes === undefined) {
    return { kind: "refused", reason: "The text contains no nodes, so it is not a flow." };
  }
  return { kind: "flow", name, definition: readDefinition(inner ?? value) };
}

export function readImport(text: string): Imported {
  const trimmed = text.trim();
  if (trimmed === "") return { kind: "nothing" };
  if (/^(\$\s*)?(\S*[/\\])?curl(\.exe)?\s/i.test(trimmed)) return { kind: "curl", command: trimmed };
  try {
    const value = JSON.parse(trimmed) as Json;
    if (!isObject(value)) return { kind: "refused", reason: "A flow is a JSON object." };
    // n8n stores edges as `connections`, by node name.
    if (Array.isArray(value.nodes) && isObject(value.connections)) return { kind: "n8n" };
    return readFlow(value);
  } catch (error) {
    if (error instanceof NotADefinition) return { kind: "refused", reason: `${error.message}.` };
    return { kind: "refused", reason: "The text is neither JSON nor a cURL command." };
  }
}

/** Return a flow with the trigger followed by the node. */
export function flowOf(trigger: string, node: FlowNode): Definition {
  const start = node.id === "start" ? "begin" : "start";
  return { nodes: [{ id: start, type: trigger }, node], edges: [{ from: start, to: node.id }] };
}

/** Return the file name without extension: "daily-report.json" -> "daily-report". */
export function nameOfFile(file: string): string {
  return file.replace(/\.[^.]*$/, "").trim() || "Imported flow";
}
