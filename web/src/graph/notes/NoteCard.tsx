import { memo, type ReactNode } from "react";
import { type Box, boxOfNote } from "@/definition/annotations";
import type { FlowGroup, FlowNote } from "@/definition/types";
import { type Block, blocksOf, type Inline } from "./markdown";
import classes from "./notes.module.css";

function Parts({ parts }: { parts: readonly Inline[] }): ReactNode {
  // biome-ignore lint/suspicious/noArrayIndexKey: the parts of a text have no other identity
  return parts.map((part, at) => <Part key={at} part={part} />);
}

function Part({ part }: { part: Inline }) {
  switch (part.kind) {
    case "text":
      return part.text;
    case "code":
      return <code>{part.text}</code>;
    case "bold":
      return (
        <strong>
          <Parts parts={part.parts} />
        </strong>
      );
    case "italic":
      return (
        <em>
          <Parts parts={part.parts} />
        </em>
      );
    default:
      return (
        <a href={part.href} target="_blank" rel="noopener noreferrer nofollow" tabIndex={-1} className="nodrag nopan">
          <Parts parts={part.parts} />
        </a>
      );
  }
}

function Lines({ lines }: { lines: readonly Inline[][] }): ReactNode {
  return lines.map((line, at) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: the lines of a text have no other identity
    <span key={at}>
      {at > 0 && <br />}
      <Parts parts={line} />
    </span>
  ));
}

function BlockOf({ block }: { block: Block }) {
  switch (block.kind) {
    case "heading":
      // Not a heading of the page.
      return (
        <p className={classes.heading} data-level={block.level}>
          <Parts parts={block.parts} />
        </p>
      );
    case "list": {
      const List = block.ordered ? "ol" : "ul";
      return (
        <List>
          {block.items.map((item, at) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: the items of a text have no other identity
            <li key={at}>
              <Parts parts={item} />
            </li>
          ))}
        </List>
      );
    }
    case "code":
      return <pre>{block.text}</pre>;
    case "quote":
      return (
        <blockquote>
          <Lines lines={block.lines} />
        </blockquote>
      );
    default:
      return (
        <p>
          <Lines lines={block.lines} />
        </p>
      );
  }
}

/** The text of a note: limited Markdown, rendered without any HTML of its author. */
function NoteText({ text }: { text: string }): ReactNode {
  // biome-ignore lint/suspicious/noArrayIndexKey: the blocks of a text have no other identity
  return blocksOf(text).map((block, at) => <BlockOf key={at} block={block} />);
}

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

export function nameOfGroup(group: FlowGroup): string {
  return group.name || group.id;
}

interface GroupFrameProps {
  group: FlowGroup;
  selected?: boolean;
  /** Beside the title. */
  children?: ReactNode;
}

/** The frame of a group. The pointer passes through it, except on its title. */
export function GroupFrame({ group, selected = false, children }: GroupFrameProps) {
  return (
    <div className={classes.frame} data-color={group.color ?? "gray"} data-selected={selected || undefined} data-frame>
      <div className={classes.title}>
        {children}
        <span title={nameOfGroup(group)}>{nameOfGroup(group)}</span>
      </div>
    </div>
  );
}
