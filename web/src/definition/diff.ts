/** Compute the difference between two definitions; pure. Positions of nodes are separate from their function. */
import { type Definition, type FlowEdge, type FlowNode, type Json, NODE, type Position } from "./types";

export type Change = "added" | "removed" | "changed";

export interface FieldChange {
  /** A path such as `config.url` or `retry.attempts`. */
  path: string;
  /** Undefined if there was no value. */
  before: Json | undefined;
  after: Json | undefined;
}

export interface NodeChange {
  id: string;
  change: Change;
  before: FlowNode | undefined;
  after: FlowNode | undefined;
  /** The changed fields of a changed node, without its position. */
  fields: FieldChange[];
}

export interface DefinitionDiff {
  /** The changed nodes in the order of the later definition, removed ones last. */
  nodes: NodeChange[];
  /** Keyed by `edgeKey`. */
  edges: Map<string, "added" | "removed">;
  settings: FieldChange[];
  /** Ids of nodes of which only the position changed. */
  moved: string[];
  /** The changed notes and groups, without those of which only the layout changed. */
  notes: PartChange[];
  groups: PartChange[];
}

/** A change of a note or a group. */
export interface PartChange {
  id: string;
  change: Change;
}

type Fields = { readonly [key: string]: unknown };

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Return true if two JSON values are equal; the order of keys does not count. */
export function isSame(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((item, at) => isSame(item, other[at]));
  }
  if (!isFields(one) || !isFields(other)) return false;
  const keys = Object.keys(one);
  return keys.length === Object.keys(other).length && keys.every((key) => key in other && isSame(one[key], other[key]));
}

/** Return the differences between two objects, key by key, descending while both values are objects. */
export function fieldChanges(before: Fields, after: Fields, base = ""): FieldChange[] {
  const found: FieldChange[] = [];
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [old, young] = [before[key], after[key]];
    if (isSame(old, young)) continue;
    const path = base === "" ? key : `${base}.${key}`;
    if (isFields(old) && isFields(young)) found.push(...fieldChanges(old, young, path));
    else found.push({ path, before: old as Json | undefined, after: young as Json | undefined });
  }
  return found;
}

export function edgeKey(edge: FlowEdge): string {
  return JSON.stringify([edge.from, edge.to, edge.branch ?? null]);
}

function byId(definition: Definition): Map<string, FlowNode> {
  return new Map(definition.nodes.map((node) => [node.id, node]));
}

function diffEdges(before: Definition, after: Definition): DefinitionDiff["edges"] {
  const old = new Set(before.edges.map(edgeKey));
  const young = new Set(after.edges.map(edgeKey));
  const edges: DefinitionDiff["edges"] = new Map();
  for (const key of young) if (!old.has(key)) edges.set(key, "added");
  for (const key of old) if (!young.has(key)) edges.set(key, "removed");
  return edges;
}

interface Part {
  id: string;
}

function byPartId(parts: readonly Part[] = []): Map<string, Part> {
  return new Map(parts.map((part) => [part.id, part]));
}

/** Return a note or group without its layout. */
function contentOf({ position: _p, width: _w, height: _h, folded: _f, ...rest }: Part & Fields): Fields {
  return rest;
}

function diffParts(before: readonly Part[] | undefined, after: readonly Part[] | undefined): PartChange[] {
  const [old, young] = [byPartId(before), byPartId(after)];
  const found: PartChange[] = [];
  for (const [id, part] of young) {
    const was = old.get(id);
    if (was === undefined) found.push({ id, change: "added" });
    else if (!isSame(contentOf(was as Part & Fields), contentOf(part as Part & Fields)))
      found.push({ id, change: "changed" });
  }
  for (const id of old.keys()) if (!young.has(id)) found.push({ id, change: "removed" });
  return found;
}

/** Return the changes that turn `before` into `after`. */
export function diffOf(before: Definition, after: Definition): DefinitionDiff {
  const old = byId(before);
  const young = byId(after);
  const nodes: NodeChange[] = [];
  const moved: string[] = [];
  for (const [id, node] of young) {
    const was = old.get(id);
    if (was === undefined) {
      nodes.push({ id, change: "added", before: undefined, after: node, fields: [] });
      continue;
    }
    const { position: from, ...rest } = was;
    const { position: to, ...now } = node;
    const fields = fieldChanges(rest, now);
    if (fields.length > 0) nodes.push({ id, change: "changed", before: was, after: node, fields });
    else if (!isSame(from, to)) moved.push(id);
  }
  for (const [id, node] of old) {
    if (!young.has(id)) nodes.push({ id, change: "removed", before: node, after: undefined, fields: [] });
  }
  const settings = fieldChanges(before.settings ?? {}, after.settings ?? {});
  return {
    nodes,
    edges: diffEdges(before, after),
    settings,
    moved,
    notes: diffParts(before.notes, after.notes),
    groups: diffParts(before.groups, after.groups),
  };
}

function overlaps(one: Position, other: Position): boolean {
  return Math.abs(one.x - other.x) < NODE.width && Math.abs(one.y - other.y) < NODE.height;
}

/** Return a position for a removed node: its former one, or below a node that stands there now. */
function freePlace(wanted: Position, taken: readonly Position[]): Position {
  let place = wanted;
  while (taken.some((other) => overlaps(place, other))) place = { x: place.x, y: place.y + NODE.height + 20 };
  return place;
}

/** Return both definitions as one graph: the later one, plus the nodes and edges that it no longer has. */
export function merged(before: Definition, after: Definition): Definition {
  const young = byId(after);
  const gone = before.nodes.filter((node) => !young.has(node.id));
  const taken = after.nodes.flatMap((node) => node.position ?? []);
  const isPlaced = taken.length === after.nodes.length && gone.every((node) => node.position !== undefined);
  const nodes = [...after.nodes];
  for (const node of gone) {
    if (node.position === undefined || !isPlaced) {
      nodes.push(node);
      continue;
    }
    const position = freePlace(node.position, taken);
    taken.push(position);
    nodes.push({ ...node, position });
  }
  const kept = new Set(after.edges.map(edgeKey));
  const edges = [...after.edges, ...before.edges.filter((edge) => !kept.has(edgeKey(edge)))];
  // If only some nodes have positions, nodes would overlap: then lay out all of them.
  const { notes, groups } = after;
  return {
    nodes: isPlaced ? nodes : nodes.map(({ position: _, ...node }) => node),
    edges,
    ...(notes === undefined || !isPlaced ? {} : { notes }),
    ...(groups === undefined ? {} : { groups }),
  };
}

function counted(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** Return a summary: "1 node added, 2 changed, 1 edge removed". */
export function summaryOf(diff: DefinitionDiff): string {
  const parts: string[] = [];
  for (const change of ["added", "removed", "changed"] as const) {
    const number = diff.nodes.filter((node) => node.change === change).length;
    if (number > 0) parts.push(`${parts.length === 0 ? counted(number, "node") : number} ${change}`);
  }
  const edges = [...diff.edges.values()];
  for (const change of ["added", "removed"] as const) {
    const number = edges.filter((one) => one === change).length;
    if (number > 0) parts.push(`${counted(number, "connection")} ${change}`);
  }
  if (diff.settings.length > 0) parts.push("settings changed");
  for (const [noun, changes] of [
    ["note", diff.notes],
    ["group", diff.groups],
  ] as const) {
    for (const change of ["added", "removed", "changed"] as const) {
      const number = changes.filter((one) => one.change === change).length;
      if (number > 0) parts.push(`${counted(number, noun)} ${change}`);
    }
  }
  if (parts.length === 0 && diff.moved.length > 0) return `${counted(diff.moved.length, "node")} moved`;
  return parts.join(", ") || "No changes";
}

/** Return the definition as text for a line-by-line comparison; with `positions` including the nodes' positions. */
export function textOf(definition: Definition, positions = false): string {
  const nodes = positions ? definition.nodes : definition.nodes.map(({ position: _, ...node }) => node);
  return JSON.stringify({ ...definition, nodes }, null, 2);
}
