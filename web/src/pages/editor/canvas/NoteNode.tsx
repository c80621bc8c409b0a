import { type NodeProps, NodeResizeControl } from "@xyflow/react";
import { type KeyboardEvent, memo } from "react";
import { NoteCard } from "@/graph/notes/NoteCard";
import graph from "@/graph/notes/notes.module.css";
import { MAX_NOTE } from "../annotating";
import { useEditor, useEditorStore } from "../context";
import type { NoteNode as Shown } from "./annotationNodes";
import classes from "./canvas.module.css";

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
            className={`${graph.field} nodrag nopan nowheel`}
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
