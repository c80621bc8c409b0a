/** The graph that a canvas shows: folded groups are one card each, with the edges across their frame; pure. */
import { around, boxesOf, groupKey, type IsFolded } from "./annotations";
import type { Definition, FlowEdge, FlowGroup, FlowNode, Position } from "./types";

/** An edge as shown: one end may be the card of a folded group. */
export interface ShownEdge {
  edge: FlowEdge;
  source: string;
  target: string;
}

export interface FoldedCard {
  group: FlowGroup;
  position: Position;
}

export interface Folded {
  /** The nodes outside of folded groups. */
  nodes: FlowNode[];
  edges: ShownEdge[];
  cards: FoldedCard[];
  /** The key of the card in which a node is. */
  hiddenIn: ReadonlyMap<string, string>;
}

const NOWHERE: ReadonlyMap<string, string> = new Map();

export function folded(definition: Definition, isFolded: IsFolded): Folded {
  const groups = definition.groups?.filter(isFolded) ?? [];
  if (groups.length === 0) {
    const edges = definition.edges.map((edge) => ({ edge, source: edge.from, target: edge.to }));
    return { nodes: definition.nodes, edges, cards: [], hiddenIn: NOWHERE };
  }
  const hiddenIn = new Map<string, string>();
  const cards: FoldedCard[] = [];
  for (const group of groups) {
    const box = around(boxesOf(definition, group));
    if (box === undefined) continue;
    for (const id of group.nodes) hiddenIn.set(id, groupKey(group.id));
    cards.push({ group, position: { x: box.x, y: box.y } });
  }
  const nodes = definition.nodes.filter((node) => !hiddenIn.has(node.id));
  return { nodes, edges: edgesAcross(definition.edges, hiddenIn), cards, hiddenIn };
}

/** Return the edges outside of cards and between them; of several between the same two ends only the first. */
function edgesAcross(edges: readonly FlowEdge[], hiddenIn: ReadonlyMap<string, string>): ShownEdge[] {
  const seen = new Set<string>();
  const shown: ShownEdge[] = [];
  for (const edge of edges) {
    const source = hiddenIn.get(edge.from) ?? edge.from;
    const target = hiddenIn.get(edge.to) ?? edge.to;
    if (source === target) continue;
    if (source !== edge.from || target !== edge.to) {
      const way = source === edge.from ? (edge.branch ?? "") : "";
      const ends = `${source} ${way} ${target}`;
      if (seen.has(ends)) continue;
      seen.add(ends);
    }
    shown.push({ edge, source, target });
  }
  return shown;
}

/** Return the shown graph as a definition in which the cards are nodes, to walk through it. */
export function asDefinition({ nodes, edges, cards }: Folded): Pick<Definition, "nodes" | "edges"> {
  return {
    nodes: [...nodes, ...cards.map(({ group, position }) => ({ id: groupKey(group.id), type: "group", position }))],
    edges: edges.map(({ edge, source, target }) => ({ ...edge, from: source, to: target })),
  };
}
