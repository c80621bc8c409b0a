// biome-ignore-all lint/a11y/useSemanticElements: the rows of a table that is rendered in parts are placed by hand
/** A list of objects as a table. Only visible rows are rendered. Arrow keys move between cells. */
import { Button, Group, Text } from "@mantine/core";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, useEffect, useId, useMemo, useRef, useState } from "react";
import { count } from "@/ui/format";
import { briefText, kindOf, type Path } from "./kinds";
import { draggable, type Picking, usePicking } from "./picking";
import { cellOf, rowsWith, type Table, tableOf, widthsOf } from "./table";
import classes from "./value.module.css";

const ROW = 30;
const NUMBERS = 52;
/** Characters of a value that the line below the table shows. */
const MAX_DETAIL = 5_000;

interface ValueTableProps {
  title: string;
  value: unknown;
  /** The place of the value in the one that the paths of picked fields begin at. */
  path: Path;
  query: string;
}

/** A cell: the row among those shown, -1 for the header, and the column. */
interface Cell {
  row: number;
  column: number;
}

const HEADER: Cell = { row: -1, column: 0 };

export function ValueTable({ title, value, path, query }: ValueTableProps) {
  const table = useMemo(() => tableOf(value), [value]);
  const found = useMemo(() => rowsWith(table.rows, query), [table, query]);
  const total = found?.length ?? table.rows.length;
  const [cell, setCell] = useState<Cell | null>(null);
  const picking = usePicking();
  const isList = Array.isArray(value);
  const indexOf = (row: number) => (found === null ? row : (found[row] ?? 0));
  function pathOf({ row, column }: Cell): Path {
    const key = table.columns[column] ?? null;
    // The header stands for the first item.
    const item = isList ? [Math.max(0, row === -1 ? 0 : indexOf(row))] : [];
    return [...path, ...item, ...(key === null ? [] : [key])];
  }
  const chosen = cell !== null && cell.row < total ? cell : null;
  return (
    <div className={classes.tableFrame}>
      <Grid {...{ title, table, total, indexOf, pathOf, picking }} cell={chosen} onCell={setCell} />
      {total === 0 && (
        <Text size="sm" c="var(--quiet)" p="sm">
          {query === "" ? "The list is empty" : "No row contains this text"}
        </Text>
      )}
      {(found !== null || table.more > 0) && (
        <Text size="xs" c="var(--quiet)" className={classes.note} role="status">
          {found !== null && `${count(total)} of ${count(table.rows.length)} rows. `}
          {table.more > 0 && `${count(table.more)} more columns: see Schema or JSON.`}
        </Text>
      )}
      {chosen !== null && chosen.row >= 0 && (
        <CellDetail
          name={`${table.columns[chosen.column] ?? "Value"}, row ${count(indexOf(chosen.row) + 1)}`}
          value={cellOf(table.rows[indexOf(chosen.row)], table.columns[chosen.column] ?? null)}
          onInsert={picking === null ? undefined : () => picking.insert(pathOf(chosen))}
        />
      )}
    </div>
  );
}

interface GridProps {
  title: string;
  table: Table;
  total: number;
  indexOf: (row: number) => number;
  pathOf: (cell: Cell) => Path;
  picking: Picking | null;
  cell: Cell | null;
  onCell: (cell: Cell) => void;
}

function Grid({ title, table, total, indexOf, pathOf, picking, cell, onCell }: GridProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const id = useId();
  const widths = useMemo(() => widthsOf(table, (one) => briefText(one, 40)), [table]);
  const columns = `${NUMBERS}px ${widths.map((width) => `${width}px`).join(" ")}`;
  const width = widths.reduce((sum, one) => sum + one, NUMBERS);
  const list = useVirtualizer({
    count: total,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: 6,
    scrollPaddingStart: ROW,
  });
  const seen = list.getVirtualItems();
  const idOf = ({ row, column }: Cell) => `${id}-${row}-${column}`;

  function go(next: Cell) {
    onCell(next);
    if (next.row >= 0) list.scrollToIndex(next.row, { align: "auto" });
  }
  function press(event: KeyboardEvent) {
    const next = moved(event.key, cell ?? HEADER, total, table.columns.length);
    if (next !== undefined) go(next);
    else if (event.key === "Enter" && cell !== null && picking !== null) picking.insert(pathOf(cell));
    else return;
    event.preventDefault();
  }
  const active = cell === null ? "" : idOf(cell);
  useEffect(() => {
    document.getElementById(active)?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [active]);
  const isShown = cell !== null && (cell.row < 0 || seen.some((item) => item.index === cell.row));

  return (
    <div
      ref={scroller}
      className={classes.table}
      role="grid"
      aria-label={`${title} as a table`}
      aria-rowcount={total + 1}
      aria-colcount={table.columns.length + 1}
      tabIndex={0}
      aria-activedescendant={isShown ? active : undefined}
      onFocus={() => cell === null && onCell(HEADER)}
      onKeyDown={press}
    >
      <div
        role="row"
        tabIndex={-1}
        aria-rowindex={1}
        className={classes.header}
        style={{ gridTemplateColumns: columns, width }}
      >
        <span role="columnheader" tabIndex={-1} className={classes.number} aria-label="Row">
          #
        </span>
        {table.columns.map((column, at) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: Enter does this in the grid
          <span
            key={column ?? ""}
            id={idOf({ row: -1, column: at })}
            role="columnheader"
            tabIndex={-1}
            className={classes.cell}
            data-active={(cell?.row === -1 && cell.column === at) || undefined}
            data-pick={picking !== null || undefined}
            onClick={() => {
              onCell({ row: -1, column: at });
              picking?.insert(pathOf({ row: -1, column: at }));
            }}
            {...draggable(picking, pathOf({ row: -1, column: at }))}
          >
            {column ?? "Value"}
          </span>
        ))}
      </div>
      <div role="rowgroup" className={classes.rows} style={{ height: list.getTotalSize(), width }}>
        {seen.map((item) => (
          <div
            key={item.key}
            role="row"
            tabIndex={-1}
            aria-rowindex={item.index + 2}
            className={classes.row}
            style={{ gridTemplateColumns: columns, transform: `translateY(${item.start}px)` }}
          >
            <span role="rowheader" tabIndex={-1} className={classes.number}>
              {count(indexOf(item.index) + 1)}
            </span>
            {table.columns.map((column, at) => {
              const own: Cell = { row: item.index, column: at };
              const value = cellOf(table.rows[indexOf(item.index)], column);
              return (
                // biome-ignore lint/a11y/useKeyWithClickEvents: the arrow keys do this in the grid
                <span
                  key={column ?? ""}
                  id={idOf(own)}
                  role="gridcell"
                  tabIndex={-1}
                  className={classes.cell}
                  data-kind={value === undefined ? "missing" : kindOf(value)}
                  data-active={(cell?.row === own.row && cell.column === at) || undefined}
                  onClick={() => onCell(own)}
                  {...draggable(picking, pathOf(own))}
                >
                  {value === undefined ? "" : briefText(value)}
                </span>
              );
            })}
          </div>
        ))}
      </div>
    </div>
  );
}

/** Return the cell that a key leads to; undefined for other keys. */
function moved(key: string, { row, column }: Cell, rows: number, columns: number): Cell | undefined {
  const ways: Record<string, Cell> = {
    ArrowDown: { row: row + 1, column },
    ArrowUp: { row: row - 1, column },
    ArrowRight: { row, column: column + 1 },
    ArrowLeft: { row, column: column - 1 },
    PageDown: { row: row + 15, column },
    PageUp: { row: row - 15, column },
    Home: { row: -1, column },
    End: { row: rows - 1, column },
  };
  const to = ways[key];
  if (to === undefined) return undefined;
  return {
    row: Math.min(Math.max(to.row, -1), rows - 1),
    column: Math.min(Math.max(to.column, 0), columns - 1),
  };
}

/** The whole value of the chosen cell. */
function CellDetail({ name, value, onInsert }: { name: string; value: unknown; onInsert?: () => void }) {
  const text = typeof value === "string" ? value : JSON.stringify(value ?? null, null, 1);
  return (
    <section className={classes.detail} aria-label="Selected cell">
      <Group justify="space-between" wrap="nowrap" gap="xs">
        <Text size="xs" c="var(--quiet)" truncate>
          {name}: {kindOf(value)}
        </Text>
        {onInsert !== undefined && (
          <Button size="compact-xs" variant="subtle" style={{ flexShrink: 0 }} onClick={onInsert}>
            Insert
          </Button>
        )}
      </Group>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <pre className={classes.whole} tabIndex={0}>
        {text.length > MAX_DETAIL ? `${text.slice(0, MAX_DETAIL)}…` : text}
      </pre>
    </section>
  );
}
