/** Whether two handles may be connected, and the edge that this makes. */
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

/** The edge between the two, whichever of them the line was drawn from; undefined between two of one kind. */
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
  if (from.id === to.id) return from.handle === to.handle ? undefined : "A node cannot follow itself";
  const made = edgeBetween(from, to);
  if (made === undefined)
    return from.type === "source" ? "An edge ends at a left side" : "An edge begins at a right side";
  return refusalOfEdge(state, made);
}

export function refusalOfEdge(
  { definition, catalogue }: Pick<EditorState, "definition" | "catalogue">,
  made: FlowEdge,
): string | undefined {
  return refusalOf(definition, made, (type) => catalogue?.find(type)?.trigger ?? false);
}
