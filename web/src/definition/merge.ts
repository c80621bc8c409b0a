/**
 * Merge the changes of two people: what only one of them changed is taken from that one; what both changed is a clash.
 * Three-way merge as in version control, but by settings of nodes instead of lines of text.
 */
import { edgeKey, isFields, isSame } from "./diff";
import type { Definition, FlowGroup } from "./types";

export interface Clash {
  /** Keys on the way to the value: nodes, the node's id, config, url. */
  path: readonly string[];
  /** Undefined if that side deleted it. */
  mine: unknown;
  theirs: unknown;
}

type Side = "mine" | "theirs";
type Fields = Readonly<Record<string, unknown>>;
/** Fields of nodes, notes and groups for the layout: never worth a question. */
const LAYOUT = ["position", "width", "height", "folded"];

function withoutLayout(value: unknown): unknown {
  return isFields(value) ? Object.fromEntries(Object.entries(value).filter(([key]) => !LAYOUT.includes(key))) : value;
}

/** Return true if one side deleted what the other side only moved. */
function isMovedOnly(base: unknown, mine: unknown, theirs: unknown): boolean {
  const left = mine ?? theirs;
  return (mine === undefined) !== (theirs === undefined) && isSame(withoutLayout(base), withoutLayout(left));
}

function mergeValues(sides: readonly [unknown, unknown, unknown], path: string[], prefer: Side, clashes: Clash[]) {
  const [base, mine, theirs] = sides;
  if (isSame(base, theirs) || isSame(mine, theirs)) return mine;
  if (isSame(base, mine)) return theirs;
  const chosen = prefer === "mine" ? mine : theirs;
  if (path.length === 3 && LAYOUT.includes(path[2] as string)) return chosen;
  if (isFields(mine) && isFields(theirs)) {
    const before = isFields(base) ? base : {};
    const found: Record<string, unknown> = {};
    for (const key of new Set([...Object.keys(theirs), ...Object.keys(mine)])) {
      const value = mergeValues([before[key], mine[key], theirs[key]], [...path, key], prefer, clashes);
      if (value !== undefined) found[key] = value;
    }
    return found;
  }
  if (path.length === 2 && isMovedOnly(base, mine, theirs)) return undefined;
  clashes.push({ path, mine, theirs });
  return chosen;
}

/** Return the definition with its lists as objects by id, so that they are merged like other fields. */
function keyed({ nodes, edges, notes = [], groups = [], ...rest }: Definition): Fields {
  const byId = (parts: readonly { id: string }[]) => Object.fromEntries(parts.map((part) => [part.id, part]));
  const wires = Object.fromEntries(edges.map((edge) => [edgeKey(edge), edge]));
  return { ...rest, nodes: byId(nodes), edges: wires, notes: byId(notes), groups: byId(groups) };
}

/** Return the definition again, without connections and members whose node is gone. */
function listed(merged: Fields): Definition {
  const lists = Object.fromEntries(
    Object.entries(merged).map(([key, value]) => [key, key === "settings" ? value : Object.values(value as Fields)]),
  ) as unknown as Definition;
  const ids = new Set(lists.nodes.map((node) => node.id));
  const grouped = new Set<string>();
  const members = (group: FlowGroup) =>
    group.nodes.filter((id) => ids.has(id) && !grouped.has(id) && grouped.add(id) !== undefined);
  const { notes, groups = [], ...rest } = lists;
  const kept = groups.map((group) => ({ ...group, nodes: members(group) })).filter((group) => group.nodes.length > 0);
  return {
    ...rest,
    edges: lists.edges.filter(({ from, to }) => ids.has(from) && ids.has(to)),
    ...(notes?.length ? { notes } : {}),
    ...(kept.length ? { groups: kept } : {}),
  };
}

/**
 * Return the definition with the changes of both sides since `base`, and the clashes: values that both changed, each in
 * another way. For those it has the value of the preferred side.
 */
export function merge(base: Definition, mine: Definition, theirs: Definition, prefer: Side = "mine") {
  const clashes: Clash[] = [];
  const sides = [keyed(base), keyed(mine), keyed(theirs)] as const;
  return { definition: listed(mergeValues(sides, [], prefer, clashes) as Fields), clashes };
}

/** Return the ids of different nodes that both sides added under the same id. */
export function twins(base: Definition, mine: Definition, theirs: Definition): string[] {
  const before = new Set(base.nodes.map((node) => node.id));
  const added = new Map(theirs.nodes.map((node) => [node.id, node]));
  return mine.nodes
    .filter((node) => !before.has(node.id) && added.has(node.id) && !isSame(node, added.get(node.id)))
    .map((node) => node.id);
}
