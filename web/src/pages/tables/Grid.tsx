/** The rows of a table as a grid: cells are edited in place, by pointer or keyboard. */

import { Checkbox, Menu, Select, TextInput, UnstyledButton } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconArrowDown, IconArrowUp, IconChevronDown, IconPlus } from "@tabler/icons-react";
import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import { server } from "@/api/client";
import { useSession } from "@/app/session";
import { Button } from "@/ui/Button";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { FormDialog, NameDialog } from "@/ui/FormDialog";
import { IconButton } from "@/ui/IconButton";
import type { Selection } from "@/ui/listState";
import { Time } from "@/ui/Time";
import {
  type Column,
  editable,
  entered,
  KINDS,
  type Kind,
  nextSort,
  type Row,
  shown,
  type TableInfo,
  toggled,
  type Value,
} from "./cells";
import classes from "./tables.module.css";

type Save = (row: Row, name: string, value: Value) => Promise<void>;

interface GridProps {
  table: TableInfo;
  rows: Row[];
  sort: string;
  onSort: (sort: string) => void;
  selection: Selection;
  /** The id of a row whose first cell gets the focus. */
  focusRow?: string;
  onSave: Save;
  onColumns: () => Promise<void>;
}

export function Grid({ table, rows, sort, onSort, selection, focusRow, onSave, onColumns }: GridProps) {
  const { may } = useSession();
  const body = useRef<HTMLTableElement>(null);
  useEffect(() => {
    if (focusRow !== undefined)
      body.current?.querySelector<HTMLElement>(`[data-row="${focusRow}"] [data-cell]`)?.focus();
  }, [focusRow]);

  /** Move the focus by rows and cells; stay at the edges. */
  function move(from: HTMLElement, down: number, right: number) {
    const cells = from.closest("tr")?.querySelectorAll<HTMLElement>("[data-cell]") ?? [];
    const at = [...cells].indexOf(from);
    const all = body.current?.querySelectorAll("tbody tr") ?? [];
    const row = all[[...all].indexOf(from.closest("tr") as HTMLElement) + down];
    row?.querySelectorAll<HTMLElement>("[data-cell]")[at + right]?.focus();
  }

  return (
    <div className={classes.scroll}>
      <table ref={body} className={classes.grid} aria-label={`Rows of ${table.name}`}>
        <thead>
          <tr>
            <th className={classes.mark}>
              <Checkbox
                size="xs"
                aria-label="Select all rows"
                checked={selection.all}
                indeterminate={selection.size > 0 && !selection.all}
                onChange={selection.toggleAll}
              />
            </th>
            {table.columns.map((column, at) => (
              <Head
                key={column.id}
                table={table}
                column={column}
                at={at}
                sort={sort}
                onSort={onSort}
                onDone={onColumns}
              />
            ))}
            <th>
              <SortButton name="updated_at" label="Changed" sort={sort} onSort={onSort} />
            </th>
            {may("editor") && (
              <th>
                <AddColumn table={table} onDone={onColumns} />
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.id} data-row={row.id} data-chosen={selection.has(row.id) || undefined}>
              <td className={classes.mark}>
                <Checkbox
                  size="xs"
                  aria-label="Select row"
                  checked={selection.has(row.id)}
                  onChange={() => selection.toggle(row.id)}
                />
              </td>
              {table.columns.map((column) => (
                <Cell key={column.id} row={row} column={column} onSave={onSave} onMove={move} />
              ))}
              <td className={classes.time}>
                <Time at={row.updated_at} />
              </td>
              {may("editor") && <td />}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface SortProps {
  name: string;
  label: string;
  sort: string;
  onSort: (sort: string) => void;
}

function SortButton({ name, label, sort, onSort }: SortProps) {
  const order = sort === name ? "ascending" : sort === `-${name}` ? "descending" : undefined;
  return (
    <UnstyledButton
      className={classes.sort}
      onClick={() => onSort(nextSort(sort, name))}
      aria-label={`Sort by ${label}${order ? `, now ${order}` : ""}`}
    >
      <span>{label}</span>
      {order === "ascending" && <IconArrowUp size={14} aria-hidden />}
      {order === "descending" && <IconArrowDown size={14} aria-hidden />}
    </UnstyledButton>
  );
}

interface HeadProps {
  table: TableInfo;
  column: Column;
  at: number;
  sort: string;
  onSort: (sort: string) => void;
  onDone: () => Promise<void>;
}

function Head({ table, column, at, sort, onSort, onDone }: HeadProps) {
  const { may } = useSession();
  const [renaming, rename] = useDisclosure(false);
  const [deleting, remove] = useDisclosure(false);
  const params = { path: { table: table.id, column_id: column.id } };
  const kind = KINDS.find(({ value }) => value === column.type)?.label;

  async function change(body: { name?: string; position?: number }) {
    await server.PATCH("/api/tables/{table}/columns/{column_id}", { params, body });
    await onDone();
  }

  return (
    <th title={kind}>
      <div className={classes.head}>
        <SortButton name={column.name} label={column.name} sort={sort} onSort={onSort} />
        {may("editor") && (
          <Menu position="bottom-end">
            <Menu.Target>
              <IconButton label={`Column ${column.name}`} icon={IconChevronDown} iconSize={14} size="sm" />
            </Menu.Target>
            <Menu.Dropdown>
              <Menu.Label>{kind}</Menu.Label>
              <Menu.Item onClick={rename.open}>Rename</Menu.Item>
              <Menu.Item disabled={at === 0} onClick={() => void change({ position: at - 1 })}>
                Move left
              </Menu.Item>
              <Menu.Item disabled={at === table.columns.length - 1} onClick={() => void change({ position: at + 1 })}>
                Move right
              </Menu.Item>
              <Menu.Item color="red" onClick={remove.open}>
                Delete column
              </Menu.Item>
            </Menu.Dropdown>
          </Menu>
        )}
      </div>
      <NameDialog
        opened={renaming}
        onClose={rename.close}
        title="Rename column"
        action="Rename"
        initial={column.name}
        maxLength={60}
        hint="Flows that use the old name will fail until they are changed"
        onName={(name) => change({ name })}
      />
      <ConfirmDialog
        opened={deleting}
        onClose={remove.close}
        title={`Delete the column “${column.name}”?`}
        action="Delete"
        danger
        onConfirm={async () => {
          await server.DELETE("/api/tables/{table}/columns/{column_id}", { params });
          await onDone();
        }}
      >
        Its values are lost in all rows.
      </ConfirmDialog>
    </th>
  );
}

function AddColumn({ table, onDone }: { table: TableInfo; onDone: () => Promise<void> }) {
  const [opened, dialog] = useDisclosure(false);
  return (
    <>
      <Button size="compact-sm" variant="subtle" icon={IconPlus} onClick={dialog.open}>
        Column
      </Button>
      {opened && <NewColumn table={table} onClose={dialog.close} onDone={onDone} />}
    </>
  );
}

interface NewColumnProps {
  table: TableInfo;
  onClose: () => void;
  onDone: () => Promise<void>;
}

function NewColumn({ table, onClose, onDone }: NewColumnProps) {
  return (
    <FormDialog
      onClose={onClose}
      title="New column"
      action="Add column"
      initial={{ name: "", type: "text" as Kind }}
      isReady={({ name }) => name.trim() !== ""}
      onSubmit={async (body) => {
        await server.POST("/api/tables/{table}/columns", { params: { path: { table: table.id } }, body });
        await onDone();
      }}
    >
      {({ bind }) => (
        <>
          <TextInput label="Name" required maxLength={60} data-autofocus {...bind("name")} />
          <Select label="Type" description="It cannot be changed later" data={KINDS} {...bind("type")} />
        </>
      )}
    </FormDialog>
  );
}

const STEPS: Record<string, [down: number, right: number]> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

interface CellProps {
  row: Row;
  column: Column;
  onSave: Save;
  onMove: (from: HTMLElement, down: number, right: number) => void;
}

function Cell({ row, column, onSave, onMove }: CellProps) {
  const value: Value = (row.values as Record<string, unknown>)[column.name];
  const [draft, setDraft] = useState<string>();
  const place = useRef<HTMLDivElement>(null);
  const cancelled = useRef(false);
  const text = shown(column.type, value);
  const isFlag = column.type === "boolean";
  const aria = {
    role: isFlag ? "checkbox" : "button",
    "aria-checked": isFlag ? value === true : undefined,
    "aria-label": `${column.name}: ${text || "empty"}`,
    tabIndex: 0,
  };

  function begin(first?: string) {
    if (column.type === "boolean") void onSave(row, column.name, toggled(value));
    else setDraft(first ?? editable(column.type, value));
  }
  /** Saves when the input loses the focus, unless it was cancelled. */
  function finish() {
    const isCancelled = cancelled.current;
    cancelled.current = false;
    if (!isCancelled && draft !== undefined && draft !== editable(column.type, value)) {
      void onSave(row, column.name, entered(column.type, draft));
    }
    setDraft(undefined);
  }

  function onKey(event: KeyboardEvent<HTMLDivElement>) {
    if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = STEPS[event.key];
    if (step !== undefined) onMove(event.currentTarget, ...step);
    else if (event.key === "Enter" || event.key === "F2" || (event.key === " " && column.type === "boolean")) begin();
    else if (event.key === "Delete" || event.key === "Backspace") void onSave(row, column.name, null);
    else if (event.key.length === 1 && column.type !== "boolean") begin(event.key);
    else return;
    event.preventDefault();
  }

  return (
    <td>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: its role is a checkbox or a button */}
      <div
        ref={place}
        data-cell
        {...aria}
        className={classes.cell}
        data-kind={column.type}
        onClick={() => draft === undefined && begin()}
        onKeyDown={onKey}
      >
        {column.type === "boolean" ? (
          <Checkbox.Indicator size="xs" checked={value === true} indeterminate={value === null} />
        ) : draft === undefined ? (
          <span>{text}</span>
        ) : (
          <input
            // biome-ignore lint/a11y/noAutofocus: the user has just asked to edit this cell
            autoFocus
            className={classes.edit}
            aria-label={column.name}
            value={draft}
            placeholder={column.type === "date" ? "2026-01-31 08:00" : undefined}
            inputMode={column.type === "number" ? "decimal" : undefined}
            onChange={(event) => setDraft(event.currentTarget.value)}
            onBlur={finish}
            onKeyDown={(event) => {
              if (event.key !== "Escape" && event.key !== "Enter") return;
              event.preventDefault();
              event.stopPropagation();
              cancelled.current = event.key === "Escape";
              place.current?.focus();
              if (event.key === "Enter" && place.current) onMove(place.current, 1, 0);
            }}
          />
        )}
      </div>
    </td>
  );
}
