/** The entries of the context menu for the selection, an edge or the empty canvas; pure. */
import { groupOf, groupsByNode, nodesAmong, noteOf } from "@/definition/annotations";
import type { FlowEdge, FlowGroup, Position } from "@/definition/types";
import { isFoldedIn } from "../annotating";
import { nodeOf } from "../changes";
import type { EditorState } from "../store";

export type Target =
  | { kind: "selection" }
  | { kind: "edge"; edge: FlowEdge }
  /** A place of the canvas, in its own pixels. */
  | { kind: "canvas"; at: Position };

export type Command =
  | "open"
  | "rename"
  | "write"
  | "run"
  | "pin"
  | "disable"
  | "copy"
  | "cut"
  | "paste"
  | "duplicate"
  | "group"
  | "ungroup"
  | "fold"
  | "delete"
  | "insert"
  | "disconnect"
  | "add"
  | "note"
  | "select all"
  | "tidy"
  | "fit";

export interface Entry {
  command: Command;
  label: string;
  keys?: string;
  isDangerous?: boolean;
}

const COPY: Entry = { command: "copy", label: "Copy", keys: "Ctrl+C" };
const EDIT: Entry[] = [
  COPY,
  { command: "cut", label: "Cut", keys: "Ctrl+X" },
  { command: "duplicate", label: "Duplicate", keys: "Ctrl+D" },
];
const GROUP: Entry = { command: "group", label: "Group", keys: "G" };
const FIT: Entry = { command: "fit", label: "Zoom to fit" };

function deleted(label: string): Entry[] {
  return [{ command: "delete", label, keys: "Del", isDangerous: true }];
}

/** Return the entries in sections; there is none that would do nothing. */
export function entriesOf(state: EditorState, target: Target): Entry[][] {
  const sections =
    target.kind === "selection" ? ofSelection(state) : target.kind === "edge" ? ofEdge() : ofCanvas(state);
  return state.readOnly ? readable(sections) : sections;
}

const FOR_READERS: ReadonlySet<Command> = new Set(["open", "copy", "fold", "select all", "fit"]);

function readable(sections: Entry[][]): Entry[][] {
  return sections
    .map((entries) => entries.filter(({ command }) => FOR_READERS.has(command)))
    .filter((entries) => entries.length > 0);
}

function ofEdge(): Entry[][] {
  return [
    [{ command: "insert", label: "Insert a node" }],
    [{ command: "disconnect", label: "Disconnect", keys: "Del", isDangerous: true }],
  ];
}

function ofCanvas({ definition }: EditorState): Entry[][] {
  const entries: Entry[][] = [
    [
      { command: "add", label: "Add a node", keys: "/" },
      { command: "note", label: "Add a note", keys: "N" },
      { command: "paste", label: "Paste", keys: "Ctrl+V" },
    ],
  ];
  if (definition.nodes.length === 0) return entries;
  return [
    ...entries,
    [
      { command: "select all", label: "Select all", keys: "Ctrl+A" },
      { command: "tidy", label: "Tidy up", keys: "T" },
      FIT,
    ],
  ];
}

function ofSelection(state: EditorState): Entry[][] {
  const { definition, selected } = state;
  const [key = ""] = selected;
  const isOne = selected.length === 1;
  const group = isOne ? groupOf(definition, key) : undefined;
  if (group !== undefined) return ofGroup(state, group);
  if (isOne && noteOf(definition, key) !== undefined)
    return [[{ command: "write", label: "Edit text", keys: "Enter" }], EDIT, deleted("Delete")];
  return isOne && nodeOf(definition, key) !== undefined ? ofNode(state, key) : ofSeveral(state);
}

function disable(state: EditorState, ids: readonly string[]): Entry {
  const areDisabled = ids.every((id) => nodeOf(state.definition, id)?.disabled === true);
  return { command: "disable", label: areDisabled ? "Enable" : "Disable", keys: "D" };
}

function fold(state: EditorState, group: FlowGroup, noun = ""): Entry {
  const label = `${isFoldedIn(state, group) ? "Unfold" : "Fold"}${noun}`;
  return { command: "fold", label, keys: "F" };
}

function ofNode(state: EditorState, id: string): Entry[][] {
  const group = groupsByNode(state.definition).get(id);
  const run: Entry[] = state.run === null ? [] : [{ command: "run", label: "Run this node", keys: "Ctrl+Shift+Enter" }];
  const isPinned = id in state.pinned;
  const pin: Entry[] =
    isPinned || state.pinOutput !== null
      ? [{ command: "pin", label: isPinned ? "Unpin output" : "Pin output", keys: "P" }]
      : [];
  return [
    [
      { command: "open", label: "Open", keys: "Enter" },
      { command: "rename", label: "Rename", keys: "F2" },
    ],
    [...run, ...pin, disable(state, [id])],
    EDIT,
    group === undefined
      ? [GROUP]
      : [fold(state, group, " group"), { command: "ungroup", label: "Remove from group", keys: "Shift+G" }],
    deleted("Delete"),
  ];
}

function ofGroup(state: EditorState, group: FlowGroup): Entry[][] {
  const isFolded = isFoldedIn(state, group);
  return [
    [fold(state, group), { command: "rename", label: "Rename", keys: "F2" }],
    [disable(state, group.nodes)],
    EDIT,
    [{ command: "ungroup", label: "Ungroup", keys: "Shift+G" }],
    deleted(isFolded ? "Delete with its nodes" : "Delete the frame"),
  ];
}

function ofSeveral(state: EditorState): Entry[][] {
  const { definition, selected } = state;
  const nodes = nodesAmong(definition, selected);
  const hasGroup = selected.some((key) => groupOf(definition, key) !== undefined);
  const isGrouped = nodes.some((id) => groupsByNode(definition).has(id));
  const grouping: Entry[] = [
    { ...GROUP, label: hasGroup ? "Add to the group" : "Group" },
    ...(isGrouped ? [{ command: "ungroup", label: "Ungroup", keys: "Shift+G" } as const] : []),
  ];
  return [...(nodes.length > 0 ? [[disable(state, nodes)], grouping] : []), EDIT, deleted(`Delete ${selected.length}`)];
}
