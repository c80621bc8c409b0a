import { Table as Base, VisuallyHidden } from "@mantine/core";
import type { CSSProperties, ReactNode } from "react";
import classes from "./Table.module.css";

interface TableProps {
  /** Label of the table for screen readers. */
  label: string;
  /** The column headers; empty for the column of buttons. */
  head: string[];
  children: ReactNode;
  minWidth?: number;
}

/** A table. On a screen as narrow as a phone each row becomes a block, with the column header beside each cell. */
export function Table({ label, head, children, minWidth = 520 }: TableProps) {
  // For the style sheet, which cannot read the column headers.
  const names = Object.fromEntries(head.map((name, at) => [`--head-${at + 1}`, JSON.stringify(name)]));
  return (
    <div className={classes.place} style={{ ...names, "--wide": `${minWidth}px` } as CSSProperties}>
      {/* Positioned, so that what is hidden from view inside of it does not widen the page. */}
      <Base.ScrollContainer minWidth="var(--least)" type="native" pos="relative" tabIndex={0}>
        <Base aria-label={label} verticalSpacing="xs" horizontalSpacing="md" highlightOnHover className={classes.table}>
          <Base.Thead className={classes.head}>
            <Base.Tr>
              {head.map((cell) => (
                <Base.Th key={cell}>{cell === "" ? <VisuallyHidden>Actions</VisuallyHidden> : cell}</Base.Th>
              ))}
            </Base.Tr>
          </Base.Thead>
          <Base.Tbody>{children}</Base.Tbody>
        </Base>
      </Base.ScrollContainer>
    </div>
  );
}

/** The cell with a row's buttons. */
export function Actions({ children }: { children: ReactNode }) {
  return (
    <Base.Td ta="right" data-actions>
      {children}
    </Base.Td>
  );
}

export const { Tr, Td } = Base;
