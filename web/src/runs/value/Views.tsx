// biome-ignore-all lint/a11y/useSemanticElements: the rows of a table that is rendered in parts are placed by hand
/** The views of a value: as a table, as a list of fields, as JSON; with a search. The chosen view is remembered. */

import { Button, CloseButton, Group, SegmentedControl, Select, Skeleton, Stack, Text, TextInput } from "@mantine/core";
import { useLocalStorage } from "@mantine/hooks";
import { IconChevronRight, IconSearch } from "@tabler/icons-react";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, Suspense, useDeferredValue, useEffect, useId, useMemo, useRef, useState } from "react";
import { pathText } from "@/forms/expression/scope";
import { count, size } from "@/ui/format";
import { lazily } from "@/ui/lazily";
import { Quiet } from "@/ui/Quiet";
import { textOf } from "../values";
import { type Field, fieldsOf, keyOf, shapeOf } from "./fields";
import { briefText, draggable, isObject, kindOf, type Path, type Picking, usePicking } from "./kinds";
import { cellOf, listsIn, rowsWith, type Table, tableOf, valueIn, widthsOf, without } from "./table";
import classes from "./value.module.css";

// The fields of a value as a tree, with types and examples. Only visible rows are rendered.

const FIELD_ROW = 28;
const NONE: ReadonlySet<string> = new Set();

function ValueFields({ title, value, query }: { title: string; value: unknown; query: string }) {
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
    estimateSize: () => FIELD_ROW,
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
    return <Quiet p="sm">{query === "" ? "No fields" : "No field contains this text"}</Quiet>;
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

// A list of objects as a table. Only visible rows are rendered. Arrow keys move between cells.

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

function ValueTable({ title, value, path, query }: ValueTableProps) {
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
      {total === 0 && <Quiet p="sm">{query === "" ? "The list is empty" : "No row contains this text"}</Quiet>}
      {(found !== null || table.more > 0) && (
        <Quiet size="xs" className={classes.note} role="status">
          {found !== null && `${count(total)} of ${count(table.rows.length)} rows. `}
          {table.more > 0 && `${count(table.more)} more columns: see Schema or JSON.`}
        </Quiet>
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
        <Quiet size="xs" truncate>
          {name}: {kindOf(value)}
        </Quiet>
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

const ValueJson = lazily(() => import("./ValueJson"));

type View = "table" | "schema" | "json";

/** Characters of JSON or text; longer ones are shown on request only. */
const SHOWN_AT_ONCE = 2_000_000;

/** Return the view for a value: the user's choice, else the table if it is, or has, one list of objects, and else JSON. */
function useView(value: unknown, lists: number): [View, (view: View) => void] {
  const [chosen, choose] = useLocalStorage<View | null>({
    key: "headrace.view",
    defaultValue: null,
    getInitialValueInEffect: false,
  });
  const usual = lists === 1 || (Array.isArray(value) && value.some(isObject)) ? "table" : "json";
  return [chosen ?? usual, choose];
}

/** Return true if there is more than one view of the value. */
function hasViews(value: unknown): boolean {
  return Array.isArray(value) || (isObject(value) && Object.keys(value).length > 0);
}

export function Views({ title, value }: { title: string; value: unknown }) {
  const lists = useMemo(() => listsIn(value), [value]);
  const [view, setView] = useView(value, lists.length);
  const [text, setText] = useState("");
  const query = useDeferredValue(text.trim());
  const [only] = lists.length === 1 ? lists : [];
  const [chosen, setWanted] = useState<string | null>(null);
  const wanted = chosen ?? (only && pathText(["value", ...only.path]));
  const rest = useMemo(() => (only === undefined ? {} : without(value, only.path)), [value, only]);
  const rows = lists.find((one) => pathText(["value", ...one.path]) === wanted)?.path ?? NO_PATH;
  if (!hasViews(value)) return <Json title={title} value={value} query="" />;
  return (
    <>
      <div className={classes.bar}>
        <SegmentedControl
          size="xs"
          aria-label={`View of ${title.toLowerCase()}`}
          value={view}
          onChange={(next) => setView(next as View)}
          data={[
            { value: "table", label: "Table" },
            { value: "schema", label: "Schema" },
            { value: "json", label: "JSON" },
          ]}
        />
        {view === "table" && lists.length > 0 && (
          <Select
            className={classes.list}
            size="xs"
            aria-label="Rows of the table"
            data={[
              { value: "", label: "The whole object" },
              ...lists.map((one) => ({
                value: pathText(["value", ...one.path]),
                label: `${one.path.join(".")} (${count(one.items)})`,
              })),
            ]}
            value={wanted ?? ""}
            onChange={setWanted}
            comboboxProps={{ shadow: "md" }}
          />
        )}
        <TextInput
          className={classes.search}
          size="xs"
          type="search"
          aria-label={`Search in ${title.toLowerCase()}`}
          placeholder="Search"
          maxLength={200}
          leftSection={<IconSearch size={14} aria-hidden />}
          rightSection={
            text !== "" && <CloseButton size="xs" aria-label="Clear the search" onClick={() => setText("")} />
          }
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
        />
      </div>
      {view === "table" ? (
        <Body>
          {rows === only?.path && isObject(rest) && Object.keys(rest).length > 0 && (
            <Quiet size="xs" mx={12} my={4} lineClamp={2} style={{ flex: "none" }}>
              {briefText(rest, 300)}
            </Quiet>
          )}
          <ValueTable key={rows.join(".")} title={title} value={valueIn(value, rows)} path={rows} query={query} />
        </Body>
      ) : view === "schema" ? (
        <Body>
          <ValueFields title={title} value={value} query={query} />
        </Body>
      ) : (
        <Json title={title} value={value} query={query} />
      )}
    </>
  );
}

const NO_PATH: Path = [];

function Body({ children }: { children: React.ReactNode }) {
  return <div className={classes.body}>{children}</div>;
}

function Json({ title, value, query }: { title: string; value: unknown; query: string }) {
  const [open, setOpen] = useState(false);
  const { text, language } = useMemo(() => textOf(value), [value]);
  return (
    <div className={classes.body} data-scrolls>
      {text.length > SHOWN_AT_ONCE && !open ? (
        <Stack p="sm" align="flex-start" gap="xs">
          <Text size="sm">Size: {size(text.length)}</Text>
          <Button size="xs" variant="default" onClick={() => setOpen(true)}>
            Show
          </Button>
        </Stack>
      ) : (
        <Suspense fallback={<Skeleton height={60} />}>
          <ValueJson title={title} text={text} language={language} query={query} />
        </Suspense>
      )}
    </div>
  );
}
