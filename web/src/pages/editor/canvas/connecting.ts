/** Check if two handles may be connected, and build the edge. */
import { refusalOf } from "@/definition/graph";
import type { FlowEdge } from "@/definition/types";
import { edge } from "../changes";
import type { EditorState } from "../store";
import { wayOf } from "./nodes";

interface End {
  id: string;
  handle: string | null;
  type: "source" | "target";
}

/**
 * Return the edge between the two handles, in either direction of drawing; undefined for two handles of the same side.
 */
export function edgeBetween(from: End, to: End): FlowEdge | undefined {
  if (from.type === to.type) return undefined;
  const [source, target] = from.type === "source" ? [from, to] : [to, from];
  return edge(source.id, target.id, wayOf(source.handle));
}

export function refusalOfConnection(
  state: Pick<EditorState, "definition" | "catalogue">,
  from: End,
  to: End,
): string | undefined {
  if (from.id === to.id)
    return from.handle === to.handle ? undefined : "A node cannot be connected to itself";
  const made = edgeBetween(from, to);
  if (made === undefined)
    return from.type === "source"
      ? "Connect to an input on the left side of a node"
      : "Connect to an output on the right side of a node";
  return refusalOfEdge(state, made);
}

export function refusalOfEdge(
  { definition, catalogue }: Pick<EditorState, "definition" | "catalogue">,
  made: FlowEdge,
): string | undefined {
  return refusalOf(definition, made, (type) => catalogue?.find(type)?.trigger ?? false);
}
