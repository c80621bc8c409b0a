import { Handle, type NodeProps, NodeResizeControl, Position } from "@xyflow/react";
import { type KeyboardEvent, type MouseEvent, memo } from "react";
import type { FlowGroup } from "@/definition/types";
import graph from "@/graph/graph.module.css";
import { GroupFrame, NoteCard, nameOfGroup } from "@/graph/notes/NoteCard";
import notes from "@/graph/notes/notes.module.css";
import { type Outcome, StatusBadge } from "@/ui/StatusBadge";
import { MAX_NOTE } from "../annotating";
import { useEditor, useEditorStore } from "../context";
import type { EditorState } from "../store";
import type { FoldedNode as FoldedShown, FrameNode as FrameShown, NoteNode as Shown } from "./annotationNodes";
import classes from "./canvas.module.css";
import { renameSelected } from "./canvasActions";
import { handleOf, INTO } from "./nodes";

/** Focus the note's element once its field is gone. */
function focusNote(key: string): void {
  requestAnimationFrame(() =>
    document
      .querySelector<HTMLElement>(`.react-flow__node[data-id="${CSS.escape(key)}"]`)
      ?.focus({ preventScroll: true }),
  );
}

/** A note that can be moved, resized and, after a double click or Enter, written. */
export const NoteNode = memo(function NoteNode({ id, data, selected, width, height }: NodeProps<Shown>) {
  const store = useEditorStore();
  const readOnly = useEditor((state) => state.readOnly);
  const isWriting = useEditor((state) => state.writing === id) && !readOnly;
  const size = width === undefined || height === undefined ? undefined : { width, height };

  function onKeyDown(event: KeyboardEvent) {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    store.getState().setWriting(null);
    focusNote(id);
  }
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: Enter on the focused note does the same
    <div onDoubleClick={() => !readOnly && store.getState().setWriting(id)}>
      <NoteCard note={data.note} selected={selected} size={size}>
        {isWriting ? (
          <textarea
            // biome-ignore lint/a11y/noAutofocus: the user has asked to write
            autoFocus
            className={`${notes.field} nodrag nopan nowheel`}
            aria-label="Text of the note"
            placeholder="# Heading, **bold**, - list"
            maxLength={MAX_NOTE}
            value={data.note.text ?? ""}
            onChange={(event) => store.getState().patchNote(id, { text: event.currentTarget.value })}
            onBlur={() => store.getState().setWriting(null)}
            onKeyDown={onKeyDown}
          />
        ) : undefined}
      </NoteCard>
      {selected && !readOnly && (
        <NodeResizeControl
          position="bottom-right"
          className={classes.resize}
          minWidth={80}
          minHeight={40}
          maxWidth={2_000}
          maxHeight={2_000}
        />
      )}
    </div>
  );
});

function FoldButton({ id, group, isFolded }: { id: string; group: FlowGroup; isFolded: boolean }) {
  const store = useEditorStore();
  return (
    <button
      type="button"
      tabIndex={-1}
      className={`${notes.fold} nodrag nopan`}
      aria-label={`${isFolded ? "Unfold" : "Fold"} ${nameOfGroup(group)}`}
      aria-expanded={!isFolded}
      onClick={(event) => {
        event.stopPropagation();
        store.getState().fold([id]);
      }}
    >
      <svg width="12" height="12" viewBox="-6 -6 12 12" aria-hidden="true">
        <path d={isFolded ? "M-4 0H4M0-4V4" : "M-4 0H4"} stroke="currentColor" strokeWidth="1.8" fill="none" />
      </svg>
    </button>
  );
}

/** The frame of a group. Its title is dragged and clicked; all else of it lets the pointer through. */
export const FrameNode = memo(function FrameNode({ id, data, selected }: NodeProps<FrameShown>) {
  const store = useEditorStore();
  function select(event: MouseEvent) {
    const isTitle = event.target instanceof Element && event.target.closest("button") === null;
    if (!isTitle) return;
    const { selected: before, select: choose } = store.getState();
    const adds = event.shiftKey || event.ctrlKey || event.metaKey;
    choose(adds ? [...before.filter((key) => key !== id), id] : [id]);
  }
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: keys reach a group from its nodes, see KeysDialog
    // biome-ignore lint/a11y/useKeyWithClickEvents: the same
    <div style={{ width: "100%", height: "100%" }} onClick={select} onDoubleClick={() => renameSelected(store)}>
      <GroupFrame group={data.group} selected={selected}>
        <FoldButton id={id} group={data.group} isFolded={false} />
      </GroupFrame>
    </div>
  );
});

const ORDER: readonly Outcome[] = ["failed", "waiting", "running", "success"];

/** Return the most relevant outcome of the group's nodes in the run on the canvas. */
function outcomeIn({ marks }: EditorState, group: FlowGroup): Outcome | undefined {
  const found = new Set(group.nodes.map((id) => marks.get(id)?.outcome));
  return ORDER.find((outcome) => found.has(outcome));
}

function problemsIn({ check }: EditorState, group: FlowGroup): number {
  return group.nodes.filter((id) => check?.byNode.has(id)).length;
}

/** A folded group: one card for all its nodes. */
export const FoldedNode = memo(function FoldedNode({ id, data, selected }: NodeProps<FoldedShown>) {
  const { group } = data;
  const outcome = useEditor((state) => outcomeIn(state, group));
  const problems = useEditor((state) => problemsIn(state, group));
  const size = `${group.nodes.length} ${group.nodes.length === 1 ? "node" : "nodes"}`;
  const told = problems === 0 ? size : `${size}, ${problems} with problems`;
  return (
    <div
      className={notes.folded}
      data-color={group.color ?? "gray"}
      data-outcome={outcome}
      data-selected={selected || undefined}
    >
      <FoldButton id={id} group={group} isFolded />
      <div className={notes.words}>
        <b title={nameOfGroup(group)}>{nameOfGroup(group)}</b>
        <small>{told}</small>
      </div>
      {outcome !== undefined && <StatusBadge outcome={outcome} iconOnly />}
      <Handle id={INTO} type="target" position={Position.Left} className={graph.handle} isConnectable={false} />
      <Handle
        id={handleOf(undefined)}
        type="source"
        position={Position.Right}
        className={graph.handle}
        isConnectable={false}
      />
    </div>
  );
});
