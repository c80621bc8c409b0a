/** Notes, frames and folded groups in React Flow's format. Unchanged ones stay the same objects. */
import { type Node, Position } from "@xyflow/react";
import { around, type Box, boxOfNote, frameAround, groupKey, type IsFolded, noteKey } from "@/definition/annotations";
import { type Definition, type FlowGroup, type FlowNote, NODE, type Position as Place } from "@/definition/types";
import { plainText } from "@/graph/notes/markdown";
import { nameOfGroup } from "@/graph/notes/NoteCard";
import { type CanvasNode, HANDLE, handleOf, INTO, isSameList, type Moving, NO_STOP } from "./nodes";

export type NoteNode = Node<{ note: FlowNote }, "note">;
export type FrameNode = Node<{ group: FlowGroup }, "frame">;
export type FoldedNode = Node<{ group: FlowGroup }, "folded">;
export type AnyNode = CanvasNode | NoteNode | FrameNode | FoldedNode;

/** Frames are below notes, and notes below nodes. React Flow adds 1000 to a selected one. */
const Z = { frame: -3, note: -1, raised: 1_000 };
/** The frame itself lets the pointer through; its title takes it. */
const THROUGH = { pointerEvents: "none" } as const;
/** The part of a frame by which it is dragged. */
export const TITLE = "[data-frame] > *";
const LABEL = 120;

interface View {
  definition: Definition;
  isFolded: IsFolded;
  selected: readonly string[];
  moving: Moving;
  /** The nodes as shown now. */
  nodes: readonly CanvasNode[];
}

type Made = NoteNode | FrameNode | FoldedNode;

/** Return a function from editor state to the notes, frames and folded groups on the canvas. */
export function annotationMaker(): (view: View) => Made[] {
  let before = new Map<string, Made>();
  let list: Made[] = [];
  return (view) => {
    const made = [...framesOf(view), ...notesOf(view)].map((node) => {
      const old = before.get(node.id);
      return old !== undefined && isSame(old, node) ? old : node;
    });
    before = new Map(made.map((node) => [node.id, node]));
    if (!isSameList(made, list)) list = made;
    return list;
  };
}

function isSame(one: Made, other: Made): boolean {
  const [part, otherPart] = [one.data, other.data] as [object, object];
  return (
    one.type === other.type &&
    one.position.x === other.position.x &&
    one.position.y === other.position.y &&
    one.width === other.width &&
    one.height === other.height &&
    one.selected === other.selected &&
    isSameList(Object.values(part), Object.values(otherPart))
  );
}

function notesOf({ definition, moving, selected }: View): NoteNode[] {
  return (definition.notes ?? []).map((note) => {
    const key = noteKey(note.id);
    const usual = boxOfNote(note);
    const { x, y, width = usual.width, height = usual.height } = moving?.get(key) ?? usual;
    return {
      id: key,
      type: "note",
      position: { x, y },
      ...sized({ width, height }),
      zIndex: Z.note,
      selected: selected.includes(key),
      connectable: false,
      ariaLabel: `Note: ${plainText(note.text ?? "").slice(0, LABEL) || "empty"}`,
      domAttributes: NO_STOP,
      data: { note },
    };
  });
}

function sized(size: { width: number; height: number }) {
  return { ...size, measured: size };
}

function framesOf(view: View): (FrameNode | FoldedNode)[] {
  const { definition, isFolded, selected, moving, nodes } = view;
  const groups = definition.groups ?? [];
  if (groups.length === 0) return [];
  const shown = new Map(nodes.map((node) => [node.id, boxOf(node)]));
  const hidden = groups.some(isFolded)
    ? new Map(definition.nodes.map((node) => [node.id, node.position ?? { x: 0, y: 0 }]))
    : new Map<string, Place>();
  return groups.flatMap((group): (FrameNode | FoldedNode)[] => {
    const key = groupKey(group.id);
    const chosen = selected.includes(key);
    if (isFolded(group)) {
      const places = group.nodes.flatMap((id) => moving?.get(id) ?? hidden.get(id) ?? []);
      const box = around(places.map(({ x, y }) => ({ x, y, ...NODE })));
      return box === undefined ? [] : [foldedOf(group, key, box, chosen)];
    }
    const frame = frameAround(group.nodes.flatMap((id) => shown.get(id) ?? []));
    return frame === undefined ? [] : [frameOf(group, key, frame, chosen)];
  });
}

function boxOf({ position, width, height }: CanvasNode): Box {
  return { ...position, width: width ?? NODE.width, height: height ?? NODE.height };
}

export function labelOfGroup(group: FlowGroup): string {
  const count = `${group.nodes.length} ${group.nodes.length === 1 ? "node" : "nodes"}`;
  return `Group ${nameOfGroup(group)}, ${count}`;
}

function frameOf(group: FlowGroup, id: string, { x, y, ...size }: Box, selected: boolean): FrameNode {
  return {
    id,
    type: "frame",
    position: { x, y },
    ...sized(size),
    zIndex: selected ? Z.frame - Z.raised : Z.frame,
    selected,
    // A selection box must not take frames along with their nodes; a click on the title selects one.
    selectable: false,
    connectable: false,
    dragHandle: TITLE,
    style: THROUGH,
    ariaLabel: labelOfGroup(group),
    domAttributes: NO_STOP,
    data: { group },
  };
}

const SIDES = { width: HANDLE, height: HANDLE, y: NODE.height / 2 - HANDLE / 2 };
const HANDLES: FoldedNode["handles"] = [
  { id: INTO, type: "target", position: Position.Left, x: -HANDLE / 2, ...SIDES },
  { id: handleOf(undefined), type: "source", position: Position.Right, x: NODE.width - HANDLE / 2, ...SIDES },
];

function foldedOf(group: FlowGroup, id: string, { x, y }: Place, selected: boolean): FoldedNode {
  return {
    id,
    type: "folded",
    position: { x, y },
    ...sized(NODE),
    handles: HANDLES,
    selected,
    ariaLabel: `${labelOfGroup(group)}, folded`,
    domAttributes: NO_STOP,
    data: { group },
  };
}

/** Return the new places of a group's nodes after its frame or its card was dragged to a position. */
export function membersAt(definition: Definition, group: FlowGroup, isFolded: boolean, to: Place): Map<string, Place> {
  const members = new Set(group.nodes);
  const places = definition.nodes
    .filter((node) => members.has(node.id))
    .map((node) => [node.id, node.position ?? { x: 0, y: 0 }] as const);
  const boxes = places.map(([, { x, y }]) => ({ x, y, ...NODE }));
  const from = isFolded ? around(boxes) : frameAround(boxes);
  if (from === undefined) return new Map();
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  return new Map(places.map(([id, { x, y }]) => [id, { x: x + dx, y: y + dy }]));
}
