/** The fields of a value as a tree, with types and examples. Only visible rows are rendered. */
import { Text } from "@mantine/core";
import { IconChevronRight } from "@tabler/icons-react";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, useId, useMemo, useRef, useState } from "react";
import { type Field, fieldsOf, keyOf, shapeOf } from "./fields";
import { draggable, usePicking } from "./picking";
import classes from "./value.module.css";

const ROW = 28;
const NONE: ReadonlySet<string> = new Set();

interface ValueFieldsProps {
  title: string;
  value: unknown;
  query: string;
}

export function ValueFields({ title, value, query }: ValueFieldsProps) {
  const shape = useMemo(() => shapeOf(value), [value]);
  const [closed, setClosed] = useState(NONE);
  const rows = useMemo(() => fieldsOf(shape, closed, query), [shape, closed, query]);
  const [at, setAt] = useState(-1);
  const picking = usePicking();
  const scroller = useRef<HTMLDivElement>(null);
  const id = useId();
  const list = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: 8,
  });
  const seen = list.getVirtualItems();

  function fold(row: Field, close: boolean) {
    setClosed((before) => {
      const next = new Set(before);
      if (close) next.add(keyOf(row.path));
      else next.delete(keyOf(row.path));
      return next;
    });
  }
  function choose(index: number) {
    const next = Math.min(Math.max(index, 0), rows.length - 1);
    setAt(next);
    if (next >= 0) list.scrollToIndex(next, { align: "auto" });
  }
  function press(event: KeyboardEvent) {
    const row = rows[at];
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15 };
    const step = steps[event.key];
    if (step !== undefined) choose(at + step);
    else if (event.key === "Home") choose(0);
    else if (event.key === "End") choose(rows.length - 1);
    else if (row === undefined) return;
    else if (event.key === "ArrowRight") fold(row, false);
    else if (event.key === "ArrowLeft" && isOpen(row)) fold(row, true);
    else if (event.key === "ArrowLeft") choose(parentOf(rows, at));
    else if (event.key === "Enter" && picking !== null) picking.insert(row.path);
    else return;
    event.preventDefault();
  }
  function isOpen(row: Field): boolean {
    return row.opens && (query !== "" || !closed.has(keyOf(row.path)));
  }

  if (rows.length === 0) {
    return (
      <Text size="sm" c="var(--quiet)" p="sm">
        {query === "" ? "No fields" : "No field contains this text"}
      </Text>
    );
  }
  return (
    <div
      ref={scroller}
      className={classes.fields}
      role="tree"
      aria-label={`Fields of ${title.toLowerCase()}`}
      tabIndex={0}
      aria-activedescendant={seen.some((item) => item.index === at) ? `${id}-${at}` : undefined}
      onFocus={() => at < 0 && setAt(0)}
      onKeyDown={press}
    >
      <div className={classes.rows} style={{ height: list.getTotalSize() }} role="presentation">
        {seen.map((item) => {
          const row = rows[item.index];
          if (row === undefined) return null;
          return (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the tree around it handles the keys
            <div
              key={item.key}
              id={`${id}-${item.index}`}
              role="treeitem"
              tabIndex={-1}
              aria-level={row.depth + 1}
              aria-selected={item.index === at}
              aria-expanded={row.opens ? isOpen(row) : undefined}
              className={classes.field}
              data-pick={picking !== null || undefined}
              style={{ transform: `translateY(${item.start}px)`, paddingLeft: 8 + row.depth * 16 }}
              onClick={() => {
                setAt(item.index);
                if (picking !== null) picking.insert(row.path);
                else if (row.opens) fold(row, isOpen(row));
              }}
              {...draggable(picking, row.path)}
            >
              {/* biome-ignore lint/a11y/useKeyWithClickEvents: the arrow keys do this in the tree */}
              {/* biome-ignore lint/a11y/noStaticElementInteractions: a mouse-only target */}
              <span
                className={classes.fold}
                onClick={(event) => {
                  if (!row.opens) return;
                  event.stopPropagation();
                  fold(row, isOpen(row));
                }}
              >
                {row.opens && <IconChevronRight size={14} aria-hidden />}
              </span>
              <span className={classes.key}>{row.label}</span>
              <span className={classes.types}>
                {row.types}
                {row.isPartial && ", not in all items"}
              </span>
              {!row.opens && <span className={classes.example}>{row.example}</span>}
            </div>
          );
        })}
      </div>
    </div>
  );
}

function parentOf(rows: readonly Field[], at: number): number {
  const depth = rows[at]?.depth ?? 0;
  for (let before = at - 1; before >= 0; before -= 1) if ((rows[before]?.depth ?? 0) < depth) return before;
  return at;
}
