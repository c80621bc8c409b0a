import { Table as Base, VisuallyHidden } from "@mantine/core";
import type { ReactNode } from "react";

interface TableProps {
  /** What the table is of, for screen readers. */
  label: string;
  /** The heads of the columns; an empty one is that of buttons. */
  head: ReactNode[];
  children: ReactNode;
  minWidth?: number;
}

/** A table that scrolls sideways where the page is narrow. */
export function Table({ label, head, children, minWidth = 520 }: TableProps) {
  return (
    // Positioned, so that what is hidden from view inside of it does not widen the page.
    <Base.ScrollContainer minWidth={minWidth} type="native" pos="relative" tabIndex={0}>
      <Base aria-label={label} verticalSpacing="xs" horizontalSpacing="md" highlightOnHover>
        <Base.Thead>
          <Base.Tr>
            {head.map((cell, at) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: the head of a table does not change
              <Base.Th key={at}>{cell === "" ? <VisuallyHidden>Actions</VisuallyHidden> : cell}</Base.Th>
            ))}
          </Base.Tr>
        </Base.Thead>
        <Base.Tbody>{children}</Base.Tbody>
      </Base>
    </Base.ScrollContainer>
  );
}

export const { Tr, Td } = Base;
