/** The target of an arrow key from a node. */
import { noteKey } from "@/definition/annotations";
import { asDefinition, type Folded } from "@/definition/folding";
import type { Definition, FlowNote } from "@/definition/types";

export type Direction = "left" | "right" | "up" | "down";

const far = Number.POSITIVE_INFINITY;

type Graph = Pick<Definition, "nodes" | "edges">;

const NOTE = "note";

/** Return the graph to walk through: the shown nodes, cards of folded groups, and notes, which have no edges. */
export function walkable(shown: Folded, notes: readonly FlowNote[] = []): Graph {
  const { nodes, edges } = asDefinition(shown);
  const places = notes.map((note) => ({ id: noteKey(note.id), type: NOTE, position: note.position }));
  return {
    nodes: [...nodes, ...places.map(({ position = { x: 0, y: 0 }, ...one }) => ({ ...one, position }))],
    edges,
  };
}

/** Return the node to go to; undefined if there is none in that direction. */
export function neighbour(definition: Graph, from: string, direction: Direction): string | undefined {
  const spots = new Map(definition.nodes.map((node) => [node.id, node.position ?? { x: 0, y: 0 }]));
  const here = spots.get(from);
  if (here === undefined) return definition.nodes[0]?.id;
  const forward = direction === "right";
  const isNote = definition.nodes.some((node) => node.id === from && node.type === NOTE);
  if (isNote && (forward || direction === "left")) {
    const beside = [...spots].filter(([, spot]) => (forward ? spot.x > here.x : spot.x < here.x));
    return nearest(
      beside.map(([id]) => id),
      (id) => Math.hypot((spots.get(id)?.x ?? far) - here.x, (spots.get(id)?.y ?? far) - here.y),
    );
  }
  if (forward || direction === "left") {
    const along = definition.edges
      .filter((edge) => (forward ? edge.from : edge.to) === from)
      .map((edge) => (forward ? edge.to : edge.from));
    return nearest(along, (id) => Math.abs((spots.get(id)?.y ?? far) - here.y));
  }
  const sign = direction === "down" ? 1 : -1;
  const others = definition.nodes
    .map((node) => node.id)
    .filter((id) => {
      const spot = spots.get(id);
      return spot !== undefined && (spot.y - here.y) * sign > 0;
    });
  // Siblings are in about the same column; horizontal distance counts less than vertical distance.
  return nearest(others, (id) => {
    const spot = spots.get(id) ?? here;
    return Math.abs(spot.x - here.x) * 3 + Math.abs(spot.y - here.y);
  });
}

function nearest(ids: readonly string[], distance: (id: string) => number): string | undefined {
  let best: string | undefined;
  let shortest = far;
  for (const id of ids) {
    const length = distance(id);
    if (length < shortest) [best, shortest] = [id, length];
  }
  return best;
}
