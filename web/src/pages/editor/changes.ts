/**
 * Changes of a definition: pure functions that return a new one and share unchanged parts, so that the canvas
 * re-renders only changed parts. They leave validation to the server; for edges see `refusalOf`.
 */
import type { IsFolded } from "@/definition/annotations";
import { isSame as isAlike } from "@/definition/diff";
import { descendants, freshId } from "@/definition/graph";
import {
  type Definition,
  type FlowEdge,
  type FlowNode,
  type FlowSettings,
  GAP,
  GRID,
  type Json,
  NODE,
  type Position,
  roomOf,
  snap,
} from "@/definition/types";
import { type Extras, extrasOf, joined, movedNotes, withExtras, withoutKeys, withRenamedMembers } from "./annotating";

const STEP = NODE.width + GAP.x;

// The layout of whole flows. Its code is loaded when it is needed: most flows have positions already.

type Tidied = typeof import("@/definition/tidy").tidied;

let loaded: Tidied | undefined;

/** Return true if no node has a position. */
function isBare({ nodes }: Pick<Definition, "nodes">): boolean {
  return nodes.length > 0 && nodes.every((node) => node.position === undefined);
}

export async function loadTidied(): Promise<void> {
  loaded ??= (await import("@/definition/tidy")).tidied;
}

/** Load the layout if one of the flows needs it. Without an answer of the server they are shown in a row. */
export async function prepareLayout(...flows: readonly Definition[]): Promise<void> {
  if (flows.some(isBare)) await loadTidied().catch(() => undefined);
}

/** Return a position for each node, and for each note by its key. All nodes are in a row until the code is loaded. */
const tidied: Tidied = (definition, ...rest) =>
  loaded === undefined ? inARow(definition) : loaded(definition, ...rest);

function inARow({ nodes }: Definition): Map<string, Position> {
  return new Map(nodes.map(({ id }, at) => [id, { x: at * STEP, y: 0 }]));
}

/** A node without an id. */
export type NewNode = Omit<FlowNode, "id">;

/** Return the key of an edge on the canvas. Ids contain no spaces, so keys are unique. */
export function edgeKey(edge: FlowEdge): string {
  return `${edge.from} ${edge.branch ?? ""} ${edge.to}`;
}

function isSame(one: FlowEdge, other: FlowEdge): boolean {
  return edgeKey(one) === edgeKey(other);
}

export function nodeOf(definition: Definition, id: string): FlowNode | undefined {
  return definition.nodes.find((node) => node.id === id);
}

/** Return the edge without `branch: undefined`, which is not JSON. */
export function edge(from: string, to: string, branch: string | undefined): FlowEdge {
  return branch === undefined ? { from, to } : { from, to, branch };
}

function ids(definition: Definition): Set<string> {
  return new Set(definition.nodes.map((node) => node.id));
}

/** Return the position, or the next free one below it. */
function freeSpot(nodes: readonly FlowNode[], wanted: Position): Position {
  const spot = { x: snap(wanted.x), y: snap(wanted.y) };
  const near = nodes.filter((node) => Math.abs((node.position?.x ?? Infinity) - spot.x) < NODE.width);
  while (near.some((node) => Math.abs((node.position?.y ?? Infinity) - spot.y) < NODE.height)) {
    spot.y += NODE.height + GAP.y - 4;
    spot.y = snap(spot.y);
  }
  return spot;
}

/**
 * Return the definition with a position for every node: a full layout if none has one, else each missing one beside its
 * predecessor.
 */
export function placed(definition: Definition): Definition {
  if (definition.nodes.every((node) => node.position !== undefined)) return definition;
  if (isBare(definition)) return arranged(definition);
  const nodes = [...definition.nodes];
  const at = new Map(nodes.map((node, index) => [node.id, index]));
  for (const [index, node] of nodes.entries()) {
    if (node.position !== undefined) continue;
    const before = definition.edges.find((one) => one.to === node.id);
    const beside = before && nodes[at.get(before.from) ?? -1]?.position;
    const wanted = beside ? { x: beside.x + STEP, y: beside.y } : { x: 0, y: 0 };
    nodes[index] = { ...node, position: freeSpot(nodes, wanted) };
  }
  return { ...definition, nodes };
}

/** Lay out all nodes from left to right, long chains in rows, the nodes of a group together. */
export function arranged(definition: Definition, heightOf?: (id: string) => number, isFolded?: IsFolded): Definition {
  return moved(definition, tidied(definition, heightOf, isFolded));
}

/** Move nodes, and notes by their keys. */
export function moved(definition: Definition, positions: ReadonlyMap<string, Position>): Definition {
  let changed = false;
  const nodes = definition.nodes.map((node) => {
    const to = positions.get(node.id);
    if (to === undefined || (node.position?.x === to.x && node.position.y === to.y)) return node;
    changed = true;
    return { ...node, position: to };
  });
  return movedNotes(changed ? { ...definition, nodes } : definition, positions);
}

/**
 * The place of a new node: at a position, after a node (at one of its branches; `nth` is that branch's place among the
 * outputs), before a node, or on an edge.
 */
export interface Where {
  position?: Position;
  after?: { id: string; branch?: string; nth?: number };
  before?: string;
  on?: FlowEdge;
  /** The branch from the new node to the end of `on`, or to `before`. */
  out?: string;
}

/** Return the definition with the node connected as asked, and the new node's id. */
export function added(definition: Definition, node: NewNode, where: Where): { definition: Definition; id: string } {
  const id = freshId(node.type, ids(definition));
  if (where.on !== undefined) return { definition: insertedOn(definition, { ...node, id }, where.on, where.out), id };
  const source = where.after && nodeOf(definition, where.after.id);
  const position = where.position
    ? { x: snap(where.position.x), y: snap(where.position.y) }
    : freeSpot(definition.nodes, besideOf(definition, source, where.after));
  const nodes = [...definition.nodes, { ...node, id, position }];
  const edges = [...definition.edges];
  if (source) edges.push(edge(source.id, id, where.after?.branch));
  if (where.before !== undefined) edges.push(edge(id, where.before, where.out));
  return { definition: { ...definition, nodes, edges }, id };
}

/** Return the place to the right; after a lower output further down, so that the edges do not cross. */
function besideOf(definition: Definition, source: FlowNode | undefined, after: Where["after"]): Position {
  if (source?.position) {
    const others = new Set(definition.edges.filter((one) => one.from === source.id).map((one) => one.branch));
    others.delete(after?.branch);
    const nth = Math.min(after?.nth ?? others.size, others.size + 1);
    const x = source.position.x + STEP + roomOf(after?.branch);
    return { x, y: source.position.y + nth * (NODE.height + GAP.y) };
  }
  const right = Math.max(...definition.nodes.map((node) => node.position?.x ?? 0), -STEP);
  return { x: right + STEP, y: 0 };
}

function insertedOn(definition: Definition, node: FlowNode, on: FlowEdge, out: string | undefined): Definition {
  const from = nodeOf(definition, on.from)?.position ?? { x: 0, y: 0 };
  const to = nodeOf(definition, on.to)?.position ?? from;
  const [beside, behind] = [STEP + roomOf(on.branch), STEP + roomOf(out)];
  const makeRoom = to.x >= from.x + NODE.width && to.x - from.x < beside + behind;
  const position = makeRoom
    ? { x: from.x + beside, y: to.y }
    : { x: snap((from.x + to.x) / 2), y: snap((from.y + to.y) / 2) };
  const shifted = makeRoom ? roomBehind(definition, on.to, from.x + beside + behind - to.x) : definition.nodes;
  const edges = definition.edges.flatMap((one) =>
    isSame(one, on) ? [edge(on.from, node.id, on.branch), edge(node.id, on.to, out)] : [one],
  );
  const made = { ...definition, nodes: [...shifted, { ...node, position }], edges };
  return joined(made, node.id, on.from, on.to);
}

/** Move this node and all nodes behind it to the right. */
function roomBehind(definition: Definition, id: string, by: number): FlowNode[] {
  const behind = descendants(definition, id).add(id);
  return definition.nodes.map((node) =>
    behind.has(node.id) && node.position
      ? { ...node, position: { x: snap(node.position.x + by), y: node.position.y } }
      : node,
  );
}

/**
 * Remove these nodes, and the notes and groups with these keys. If a single removed node had one predecessor and one
 * successor, connect those.
 */
export function removed(definition: Definition, gone: readonly string[]): Definition {
  const set = new Set(gone);
  const rest = withoutKeys(definition, set);
  const nodes = definition.nodes.filter((node) => !set.has(node.id));
  if (nodes.length === definition.nodes.length) return rest;
  const edges = definition.edges.filter((one) => !set.has(one.from) && !set.has(one.to));
  const bridge = gone.length === 1 ? bridgeOver(definition, gone[0] as string) : undefined;
  if (bridge && !edges.some((one) => isSame(one, bridge))) edges.push(bridge);
  return { ...rest, nodes, edges };
}

function bridgeOver(definition: Definition, id: string): FlowEdge | undefined {
  const before = definition.edges.filter((one) => one.to === id);
  const after = definition.edges.filter((one) => one.from === id);
  const [into, out] = [before[0], after[0]];
  if (before.length !== 1 || after.length !== 1 || !into || !out) return undefined;
  return edge(into.from, out.to, into.branch);
}

export function connected(definition: Definition, added: FlowEdge): Definition {
  return { ...definition, edges: [...definition.edges, added] };
}

export function disconnected(definition: Definition, keys: readonly string[]): Definition {
  const set = new Set(keys);
  const edges = definition.edges.filter((one) => !set.has(edgeKey(one)));
  return edges.length === definition.edges.length ? definition : { ...definition, edges };
}

/** A change of a node's fields. An undefined value removes the key. */
export type Patch = { [Key in keyof Omit<FlowNode, "id">]?: FlowNode[Key] | undefined };

export function patched(definition: Definition, id: string, patch: Patch): Definition {
  return {
    ...definition,
    nodes: definition.nodes.map((node) => (node.id === id ? withoutUndefined({ ...node, ...patch }) : node)),
  };
}

export function withSettings(definition: Definition, patch: FlowSettings): Definition {
  const settings = withoutUndefined({ ...definition.settings, ...patch });
  const { settings: _before, ...rest } = definition;
  return Object.keys(settings).length === 0 ? rest : { ...rest, settings };
}

function withoutUndefined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as T;
}

const ID = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;

/** Return why the node cannot have this id; undefined if it can. */
export function idRefusal(definition: Definition, id: string, wanted: string): string | undefined {
  if (wanted === id) return undefined;
  if (!ID.test(wanted)) return "Use letters, digits and _, at most 64, not starting with a digit";
  return nodeOf(definition, wanted) ? `Another node has the id ${wanted}` : undefined;
}

/** Change a node's id, also in edges and expressions. */
export function renamed(definition: Definition, id: string, wanted: string, isLiteral: IsLiteral): Definition {
  const names = new Map([[id, wanted]]);
  return {
    ...withRenamedMembers(definition, names),
    nodes: definition.nodes.map((node) => {
      const made = rewriteNode(node, names, isLiteral);
      return node.id === id ? { ...made, id: wanted } : made;
    }),
    edges: definition.edges.map((one) => renamedEdge(one, names)),
  };
}

function renamedEdge(one: FlowEdge, names: ReadonlyMap<string, string>): FlowEdge {
  const from = names.get(one.from);
  const to = names.get(one.to);
  return from === undefined && to === undefined ? one : { ...one, from: from ?? one.from, to: to ?? one.to };
}

/** Some nodes and the edges between them, with notes and groups, for copying. */
export interface Piece extends Extras {
  nodes: FlowNode[];
  edges: FlowEdge[];
}

export function pieceOf(definition: Definition, chosen: readonly string[]): Piece {
  const set = new Set(chosen);
  return {
    nodes: definition.nodes.filter((node) => set.has(node.id)),
    edges: definition.edges.filter((one) => set.has(one.from) && set.has(one.to)),
    ...extrasOf(definition, set),
  };
}

/**
 * Insert copied nodes with new unique ids and update the references between them. The upper left corner is placed at
 * `at`, by default a little beside the originals.
 */
export function pasted(
  definition: Definition,
  piece: Piece,
  isLiteral: IsLiteral,
  at?: Position,
): { definition: Definition; ids: string[] } {
  const names = freshNames(piece, ids(definition));
  const by = shiftOf(definition, piece, at);
  const shifted = (place: Position | undefined) => ({
    x: snap((place?.x ?? 0) + by.x),
    y: snap((place?.y ?? 0) + by.y),
  });
  const nodes = piece.nodes.map((node) => ({
    ...rewriteNode(node, names, isLiteral),
    id: names.get(node.id) ?? node.id,
    position: shifted(node.position),
  }));
  const made = { ...definition, nodes: [...definition.nodes, ...nodes] };
  made.edges = [...definition.edges, ...piece.edges.map((one) => renamedEdge(one, names))];
  const whole = withExtras(made, piece, names, shifted);
  return { definition: whole.definition, ids: [...nodes.map((node) => node.id), ...whole.keys] };
}

function freshNames(piece: Piece, taken: Set<string>): Map<string, string> {
  const names = new Map<string, string>();
  for (const node of piece.nodes) {
    const name = taken.has(node.id) ? freshId(node.id.replace(/_\d+$/, ""), taken) : node.id;
    taken.add(name);
    names.set(node.id, name);
  }
  return names;
}

/**
 * Return the offset of the inserted nodes: to the given position, or beside the originals, but never exactly on other
 * nodes.
 */
function shiftOf(definition: Definition, piece: Piece, at: Position | undefined): Position {
  const there = [...definition.nodes, ...(definition.notes ?? [])];
  const spots = new Set(there.map(({ position }) => `${position?.x} ${position?.y}`));
  const places = [...piece.nodes, ...(piece.notes ?? [])].map((one) => one.position ?? { x: 0, y: 0 });
  const left = Math.min(...places.map((place) => place.x));
  const top = Math.min(...places.map((place) => place.y));
  let { x, y } = at === undefined ? { x: 2 * GRID, y: 2 * GRID } : { x: at.x - left, y: at.y - top };
  while (places.some((place) => spots.has(`${snap(place.x + x)} ${snap(place.y + y)}`))) {
    x += 2 * GRID;
    y += 2 * GRID;
  }
  return { x, y };
}

/** Return how many nodes were added, removed or changed; moves do not count. */
export function differences(one: Definition, other: Definition): { added: number; removed: number; changed: number } {
  const before = new Map(one.nodes.map((node) => [node.id, node]));
  let [added, changed] = [0, 0];
  for (const node of other.nodes) {
    const old = before.get(node.id);
    if (old === undefined) added += 1;
    else if (!isAlike({ ...old, position: null }, { ...node, position: null })) changed += 1;
    before.delete(node.id);
  }
  return { added, removed: before.size, changed };
}

/** Return true if a node works the same in both; position, name and notes do not count. */
export function runsAlikeNode(one: FlowNode | undefined, other: FlowNode | undefined): boolean {
  const doing = (node: FlowNode | undefined) => ({ ...node, name: null, notes: null, position: null });
  return isAlike(doing(one), doing(other));
}

/** Return true if two definitions run the same, regardless of their layout. */
export function runsAlike(one: Definition, other: Definition): boolean {
  if (one === other) return true;
  return (
    one.nodes.length === other.nodes.length &&
    one.nodes.every((node, at) => runsAlikeNode(node, other.nodes[at])) &&
    isAlike(one.edges, other.edges) &&
    isAlike(one.settings ?? {}, other.settings ?? {})
  );
}

// References to other nodes in a node's expressions: `steps.<id>`, `steps["id"]`, `steps.get("id")` inside `{{ … }}`.
// Other text, such as source code, is left unchanged, since its meaning is unknown.

type Renamed = ReadonlyMap<string, string>;

const WORD = /[A-Za-z0-9_]/;
const OPENS = "{[(";
const CLOSES = "}])";

/** Return the end of the string literal that starts at `at`: the position after its closing quote. */
function afterText(text: string, at: number): number {
  const quote = text[at];
  let here = at + 1;
  while (here < text.length && text[here] !== quote) here += text[here] === "\\" ? 2 : 1;
  return here + 1;
}

function spaces(text: string, at: number): number {
  let here = at;
  while (/\s/.test(text[here] ?? "")) here += 1;
  return here;
}

interface Mention {
  id: string;
  start: number;
  end: number;
}

function quotedAt(text: string, at: number): Mention | undefined {
  if (text[at] !== '"' && text[at] !== "'") return undefined;
  const end = afterText(text, at) - 1;
  return { id: text.slice(at + 1, end), start: at + 1, end };
}

function wordAt(text: string, at: number): Mention {
  let end = at;
  while (WORD.test(text[end] ?? "")) end += 1;
  return { id: text.slice(at, end), start: at, end };
}

/** Return the id accessed on `steps`, if the word ends at `after`. */
function mentionAt(text: string, after: number): Mention | undefined {
  const next = spaces(text, after);
  if (text[next] === "[") return quotedAt(text, spaces(text, next + 1));
  if (text[next] !== ".") return undefined;
  const word = wordAt(text, spaces(text, next + 1));
  const call = spaces(text, word.end);
  if (word.id === "get" && text[call] === "(") return quotedAt(text, spaces(text, call + 1));
  return word.id === "" ? undefined : word;
}

/** Return true if the word at `at` is a name, not a key: `steps`, but not `input.steps`. */
function isName(text: string, at: number): boolean {
  if (WORD.test(text[at - 1] ?? "")) return false;
  return !/[.|]\s*$/.test(text.slice(Math.max(0, at - 20), at));
}

/** Return the references in the expression that starts at `at`, and its end. */
function expression(text: string, at: number): { mentions: Mention[]; end: number } {
  const mentions: Mention[] = [];
  let depth = 0;
  let here = at;
  while (here < text.length) {
    const letter = text[here] as string;
    if (letter === '"' || letter === "'") {
      here = afterText(text, here);
      continue;
    }
    if (depth === 0 && text.startsWith("}}", here)) return { mentions, end: here + 2 };
    if (OPENS.includes(letter)) depth += 1;
    if (CLOSES.includes(letter)) depth = Math.max(0, depth - 1);
    if (!WORD.test(letter)) {
      here += 1;
      continue;
    }
    const word = wordAt(text, here);
    const found = word.id === "steps" && isName(text, here) ? mentionAt(text, word.end) : undefined;
    if (found !== undefined) mentions.push(found);
    here = found?.end ?? word.end;
    // Inside quotes, the closing quote must not be taken for an opening one.
    if (found !== undefined && (text[found.end] === '"' || text[found.end] === "'")) here += 1;
  }
  return { mentions, end: text.length };
}

function mentionsIn(text: string): Mention[] {
  const found: Mention[] = [];
  let here = text.indexOf("{");
  while (here !== -1 && here < text.length) {
    if (text.startsWith("{#", here)) {
      const end = text.indexOf("#}", here + 2);
      here = end === -1 ? text.length : end + 2;
    } else if (text.startsWith("{{", here)) {
      const { mentions, end } = expression(text, here + 2);
      found.push(...mentions);
      here = end;
    } else here += 1;
    here = text.indexOf("{", here);
  }
  return found;
}

/** Return the text with the ids in its expressions replaced; the same text if it contains none of them. */
export function rewriteText(text: string, renamed: Renamed): string {
  let made = "";
  let done = 0;
  for (const { id, start, end } of mentionsIn(text)) {
    const other = renamed.get(id);
    if (other === undefined) continue;
    made += text.slice(done, start) + other;
    done = end;
  }
  return done === 0 ? text : made + text.slice(done);
}

/** Return the value with the ids in its expressions replaced; the same object if nothing changes. */
function rewrite<T extends Json>(value: T, renamed: Renamed): T {
  if (typeof value === "string") return rewriteText(value, renamed) as T;
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    const items = value.map((item) => rewrite(item, renamed));
    return (items.some((item, at) => item !== value[at]) ? items : value) as T;
  }
  const entries = Object.entries(value).map(([key, item]) => [key, rewrite(item, renamed)] as const);
  const changed = entries.some(([key, item]) => item !== (value as Record<string, Json>)[key]);
  return (changed ? Object.fromEntries(entries) : value) as T;
}

/** Return true if a config key is taken literally: `{{ … }}` is not an expression in it. */
export type IsLiteral = (type: string, key: string) => boolean;

/** Return the node with the ids in its expressions replaced; the same object if it contains none of them. */
export function rewriteNode(node: FlowNode, renamed: Renamed, isLiteral: IsLiteral): FlowNode {
  const config = node.config;
  let made = node;
  for (const [key, value] of Object.entries(config ?? {})) {
    const other = isLiteral(node.type, key) ? value : rewrite(value, renamed);
    if (other !== value) made = { ...made, config: { ...made.config, [key]: other } };
  }
  if (node.foreach !== undefined) {
    const foreach = rewrite(node.foreach, renamed);
    if (foreach !== node.foreach) made = { ...made, foreach };
  }
  if (node.repeat !== undefined) {
    const until = rewrite(node.repeat.until, renamed);
    if (until !== node.repeat.until) made = { ...made, repeat: { ...node.repeat, until } };
  }
  return made;
}
