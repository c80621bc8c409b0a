import type { ReactNode } from "react";
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
        <a
          href={part.href}
          target="_blank"
          rel="noopener noreferrer nofollow"
          tabIndex={-1}
          className="nodrag nopan"
        >
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
export function NoteText({ text }: { text: string }): ReactNode {
  // biome-ignore lint/suspicious/noArrayIndexKey: the blocks of a text have no other identity
  return blocksOf(text).map((block, at) => <BlockOf key={at} block={block} />);
}
