import { memo, type ReactNode } from "react";
import { type Box, boxOfNote } from "@/definition/annotations";
import type { FlowNote } from "@/definition/types";
import { NoteText } from "./NoteText";
import classes from "./notes.module.css";

interface NoteCardProps {
  note: FlowNote;
  selected?: boolean;
  size?: Pick<Box, "width" | "height">;
  /** Shown instead of the text, such as its field. */
  children?: ReactNode;
}

/** A note on a canvas. */
export const NoteCard = memo(function NoteCard({ note, selected = false, size, children }: NoteCardProps) {
  const { width, height } = size ?? boxOfNote(note);
  return (
    <div
      className={classes.note}
      style={{ width, height }}
      data-color={note.color ?? "yellow"}
      data-selected={selected || undefined}
    >
      {children ?? (
        <div className={classes.text}>
          {note.text ? <NoteText text={note.text} /> : <p className={classes.empty}>Empty note</p>}
        </div>
      )}
    </div>
  );
});
