/** The clipboard's content for copying, and the interpretation of pasted text. */
import { readDefinition } from "@/definition/read";
import type { Definition } from "@/definition/types";
import { type Piece, pieceOf, placed } from "./changes";
import { prepareLayout } from "./tidying";

export type Pasted =
  | { kind: "nodes"; definition: Definition }
  /** A cURL command, from which the server makes a node. */
  | { kind: "curl"; command: string }
  | { kind: "nothing" };

export function copied(definition: Definition, chosen: readonly string[]): string {
  return JSON.stringify({ headrace: "nodes", ...pieceOf(definition, chosen) }, null, 2);
}

/** Return all of a pasted definition, with the edges between its nodes; hand-written text may contain others. */
export async function wholeOf(definition: Definition): Promise<Piece> {
  await prepareLayout(definition);
  const { nodes, edges, notes, groups } = placed(definition);
  const ids = new Set(nodes.map((node) => node.id));
  return {
    nodes,
    edges: edges.filter((edge) => ids.has(edge.from) && ids.has(edge.to)),
    ...(notes === undefined ? {} : { notes }),
    ...(groups === undefined ? {} : { groups }),
  };
}

export function pastedOf(text: string): Pasted {
  const trimmed = text.trim();
  if (/^curl(\.exe)?\s/.test(trimmed)) return { kind: "curl", command: trimmed };
  if (!trimmed.startsWith("{")) return { kind: "nothing" };
  try {
    const value = JSON.parse(trimmed) as Record<string, unknown>;
    // An exported flow contains its definition.
    const definition = readDefinition("definition" in value ? value.definition : value);
    if (definition.nodes.length + (definition.notes?.length ?? 0) === 0) return { kind: "nothing" };
    return { kind: "nodes", definition };
  } catch {
    return { kind: "nothing" };
  }
}
