/** Notes and frames of groups in a read-only graph. Groups are never folded there: a run has steps of every node. */
import type { Node, NodeProps, NodeTypes } from "@xyflow/react";
import { memo } from "react";
import { type Box, boxesOf, boxOfNote, frameAround, groupKey, noteKey } from "@/definition/annotations";
import type { Definition, FlowGroup, FlowNote } from "@/definition/types";
import { GroupFrame, nameOfGroup } from "./notes/GroupFrame";
import { NoteCard } from "./notes/NoteCard";

type ShownNote = Node<{ note: FlowNote }, "note">;
type ShownFrame = Node<{ group: FlowGroup }, "frame">;
export type ShownAnnotation = ShownNote | ShownFrame;

const Note = memo(function Note({ data }: NodeProps<ShownNote>) {
  return <NoteCard note={data.note} />;
});

const Frame = memo(function Frame({ data }: NodeProps<ShownFrame>) {
  return <GroupFrame group={data.group} />;
});

export const FRAME_TYPES: NodeTypes = { note: Note, frame: Frame };

/** Neither selected nor reached by the pointer. */
const STILL = { selectable: false, focusable: false, draggable: false, connectable: false } as const;
const FRAME_STYLE = { pointerEvents: "none" } as const;

function at({ x, y, width, height }: Box) {
  const size = { width, height };
  return { position: { x, y }, ...size, measured: size };
}

export function annotationsOf(definition: Definition): ShownAnnotation[] {
  const frames = (definition.groups ?? []).flatMap((group): ShownFrame[] => {
    const frame = frameAround(boxesOf(definition, group));
    if (frame === undefined) return [];
    const common = { ...STILL, zIndex: -3, style: FRAME_STYLE, ariaLabel: `Group ${nameOfGroup(group)}` };
    return [{ id: groupKey(group.id), type: "frame", data: { group }, ...common, ...at(frame) }];
  });
  const notes = (definition.notes ?? []).map((note): ShownNote => {
    const common = { ...STILL, zIndex: -1, ariaLabel: "Note" };
    return { id: noteKey(note.id), type: "note", data: { note }, ...common, ...at(boxOfNote(note)) };
  });
  return [...frames, ...notes];
}
