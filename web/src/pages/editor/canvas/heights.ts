import { heightOf, usedWays, waysOf } from "../branches";
import type { EditorState } from "../store";

/** Return the height of each node, for the layout. */
export function nodeHeights({ definition, check, catalogue }: EditorState): (id: string) => number {
  const used = usedWays(definition.edges);
  const found = new Map(
    definition.nodes.map((node) => [
      node.id,
      heightOf(waysOf(node, check?.ways.get(node.id), catalogue, used.get(node.id)).length),
    ]),
  );
  return (id) => found.get(id) ?? heightOf(1);
}
