/** Notes and groups on a canvas: their keys beside node ids, and their places; pure. */
import { type Definition, type FlowGroup, type FlowNote, NODE, type Position } from "./types";

// Ids of nodes contain no colon, so keys of notes and groups differ from them.
const NOTE_KEY = "note:";
const GROUP_KEY = "group:";

export function noteKey(id: string): string {
  return NOTE_KEY + id;
}

export function groupKey(id: string): string {
  return GROUP_KEY + id;
}

export function noteOf({ notes }: Definition, key: string): FlowNote | undefined {
  return key.startsWith(NOTE_KEY) ? notes?.find((note) => noteKey(note.id) === key) : undefined;
}

export function groupOf({ groups }: Definition, key: string): FlowGroup | undefined {
  return key.startsWith(GROUP_KEY) ? groups?.find((group) => groupKey(group.id) === key) : undefined;
}

/** Return the group of each node that is in one. */
export function groupsByNode({ groups = [] }: Definition): Map<string, FlowGroup> {
  return new Map(groups.flatMap((group) => group.nodes.map((id) => [id, group] as const)));
}

/** Return all keys on the canvas: node ids, and the keys of notes and groups. */
export function keysOf({ nodes, notes = [], groups = [] }: Definition): Set<string> {
  return new Set([
    ...nodes.map((node) => node.id),
    ...notes.map((note) => noteKey(note.id)),
    ...groups.map((group) => groupKey(group.id)),
  ]);
}

/** Return the ids of the nodes among these keys, and of those in groups among them. */
export function nodesAmong(definition: Definition, keys: readonly string[]): string[] {
  const found = new Set<string>();
  const ids = new Set(definition.nodes.map((node) => node.id));
  for (const key of keys) {
    if (ids.has(key)) found.add(key);
    else for (const id of groupOf(definition, key)?.nodes ?? []) found.add(id);
  }
  return [...found];
}

export interface Box extends Position {
  width: number;
  height: number;
}

export const NOTE = { width: 240, height: 160 };

export function boxOfNote(note: FlowNote): Box {
  const { x, y } = note.position ?? { x: 0, y: 0 };
  return { x, y, width: note.width ?? NOTE.width, height: note.height ?? NOTE.height };
}

/** The space between a frame and its nodes; above them it has its title. In steps of the grid. */
export const FRAME = { side: 20, top: 40 };

/** Return the smallest box around some boxes; undefined around none. */
export function around(boxes: readonly Box[]): Box | undefined {
  if (boxes.length === 0) return undefined;
  const x = Math.min(...boxes.map((box) => box.x));
  const y = Math.min(...boxes.map((box) => box.y));
  const right = Math.max(...boxes.map((box) => box.x + box.width));
  const bottom = Math.max(...boxes.map((box) => box.y + box.height));
  return { x, y, width: right - x, height: bottom - y };
}

/** Return the frame around the boxes of a group's nodes; undefined without nodes. */
export function frameAround(boxes: readonly Box[]): Box | undefined {
  const box = around(boxes);
  if (box === undefined) return undefined;
  const { side, top } = FRAME;
  return {
    x: box.x - side,
    y: box.y - top,
    width: box.width + 2 * side,
    height: box.height + top + side,
  };
}

/** Return the boxes of a group's nodes. */
export function boxesOf(
  definition: Definition,
  group: FlowGroup,
  heightOf: (id: string) => number = () => NODE.height,
): Box[] {
  const members = new Set(group.nodes);
  return definition.nodes
    .filter((node) => members.has(node.id))
    .map((node) => ({
      x: node.position?.x ?? 0,
      y: node.position?.y ?? 0,
      width: NODE.width,
      height: heightOf(node.id),
    }));
}

/** Return the place of a node, a note or a group; undefined if there is none with this key. */
export function placeOf(definition: Definition, key: string, isFolded: IsFolded): Box | undefined {
  const note = noteOf(definition, key);
  if (note !== undefined) return boxOfNote(note);
  const group = groupOf(definition, key);
  if (group !== undefined) {
    const boxes = boxesOf(definition, group);
    const box = around(boxes);
    return isFolded(group) ? box && { ...box, ...NODE } : frameAround(boxes);
  }
  const node = definition.nodes.find((one) => one.id === key);
  return node && { ...(node.position ?? { x: 0, y: 0 }), ...NODE };
}

export type IsFolded = (group: FlowGroup) => boolean;
