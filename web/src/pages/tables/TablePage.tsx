/** One table: its rows in a grid, filters, order, columns, import and export. */

import { Anchor, Group, Select, Stack, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconDownload, IconFileImport, IconFilter, IconPencil, IconPlus, IconTrash, IconX } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { useLocation } from "wouter";
import { api, server } from "@/api/client";
import { useSession } from "@/app/session";
import { Button } from "@/ui/Button";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { NameDialog } from "@/ui/FormDialog";
import { IconButton } from "@/ui/IconButton";
import { itemsOf, LoadMore, PAGED } from "@/ui/LoadMore";
import { useQueryState, useSelection } from "@/ui/listState";
import { DotsMenu, MenuItem } from "@/ui/MenuItem";
import { notify } from "@/ui/notify";
import { Card, Page } from "@/ui/Page";
import { Quiet } from "@/ui/Quiet";
import { Empty, LoadingRows, Refused } from "@/ui/states";
import {
  type Column,
  type Condition,
  filterOf,
  needsValue,
  operatorsOf,
  type Row,
  type TableInfo,
  type Value,
} from "./cells";
import { Grid } from "./Grid";
import { ImportDialog } from "./ImportDialog";

const PAUSE = 300;

interface ConditionsProps {
  columns: Column[];
  value: Condition[];
  onChange: (conditions: Condition[]) => void;
}

/** Filters of rows: column, operator and value each; all of them must hold. */
function Conditions({ columns, value, onChange }: ConditionsProps) {
  function add() {
    const [first] = columns;
    if (first === undefined) return;
    const operator = operatorsOf(first.type)[0]?.value ?? "eq";
    onChange([...value, { column: first.name, operator, value: "" }]);
  }
  return (
    <Stack gap="xs">
      {value.map((condition, at) => (
        <One
          // biome-ignore lint/suspicious/noArrayIndexKey: conditions have no id, and are added at the end
          key={at}
          columns={columns}
          condition={condition}
          onChange={(next) => onChange(value.map((one, place) => (place === at ? next : one)))}
          onRemove={() => onChange(value.filter((_, place) => place !== at))}
        />
      ))}
      <Group>
        <Button variant="default" icon={IconFilter} onClick={add} disabled={columns.length === 0 || value.length >= 20}>
          Add filter
        </Button>
      </Group>
    </Stack>
  );
}

interface OneProps {
  columns: Column[];
  condition: Condition;
  onChange: (condition: Condition) => void;
  onRemove: () => void;
}

function One({ columns, condition, onChange, onRemove }: OneProps) {
  const kind = columns.find(({ name }) => name === condition.column)?.type ?? "text";
  const operators = operatorsOf(kind);
  const [text, setText] = useState(condition.value);
  // Typed text takes effect after a pause.
  useEffect(() => {
    if (text === condition.value) return;
    const timer = setTimeout(() => onChange({ ...condition, value: text }), PAUSE);
    return () => clearTimeout(timer);
  }, [text, condition, onChange]);

  function chooseColumn(name: string) {
    const next = operatorsOf(columns.find((column) => column.name === name)?.type ?? "text");
    const operator = next.some(({ value }) => value === condition.operator) ? condition.operator : next[0]?.value;
    onChange({ ...condition, column: name, operator: operator ?? "eq" });
  }

  return (
    <Group gap="xs" wrap="wrap">
      <Select
        aria-label="Column"
        data={columns.map(({ name }) => name)}
        value={condition.column}
        onChange={(name) => name !== null && chooseColumn(name)}
        w={150}
      />
      <Select
        aria-label="Operator"
        data={operators}
        value={condition.operator}
        onChange={(operator) => operator !== null && onChange({ ...condition, operator })}
        w={150}
      />
      {needsValue(condition.operator) &&
        (kind === "boolean" ? (
          <Select
            aria-label="Value"
            data={[
              { value: "true", label: "Yes" },
              { value: "false", label: "No" },
            ]}
            value={text || null}
            allowDeselect
            onChange={(next) => setText(next ?? "")}
            w={120}
          />
        ) : (
          <TextInput
            aria-label="Value"
            placeholder={kind === "date" ? "2026-01-31" : undefined}
            value={text}
            onChange={(event) => setText(event.currentTarget.value)}
            w={170}
          />
        ))}
      <IconButton label="Remove filter" icon={IconX} iconSize={16} onClick={onRemove} />
    </Group>
  );
}

const FILTERS = { sort: "", filter: "" };
const PAGE = 100;
const ROWS = ["get", "/api/tables/{table}/rows"];

export default function TablePage({ id }: { id: string }) {
  const { data, error, isPending, refetch } = api.useQuery("get", "/api/tables/{table}", {
    params: { path: { table: id } },
  });
  if (isPending) return <LoadingRows />;
  if (error) return <Refused error={error} onRetry={() => void refetch()} />;
  return <Loaded table={data} />;
}

/** Reload the data of the page and of the list of tables. */
function useReload(): () => Promise<void> {
  const client = useQueryClient();
  return async () => {
    await Promise.all([
      client.invalidateQueries({ queryKey: ROWS }),
      client.invalidateQueries({ queryKey: ["get", "/api/tables/{table}"] }),
      client.invalidateQueries({ queryKey: ["get", "/api/tables"] }),
    ]);
  };
}

function Loaded({ table }: { table: TableInfo }) {
  const { may } = useSession();
  return (
    <Page
      title={table.name}
      above={{ path: "/tables", label: "Tables" }}
      about={`${table.row_count.toLocaleString()} rows. Flows use this table by its name with the Table node.`}
      docs="tables"
      actions={<TableActions table={table} />}
      width={1600}
    >
      {may("operator") ? (
        <Rows table={table} />
      ) : (
        <Empty title="Rows are visible to operators and above" hint="You see the tables and their columns." />
      )}
    </Page>
  );
}

function TableActions({ table }: { table: TableInfo }) {
  const { may, workspace } = useSession();
  const reload = useReload();
  const [, go] = useLocation();
  const [renaming, rename] = useDisclosure(false);
  const [deleting, remove] = useDisclosure(false);
  const [importing, dialog] = useDisclosure(false);
  const path = { table: table.id };
  return (
    <>
      {may("operator") && (
        <Button
          component="a"
          href={`/api/tables/${table.id}/export?workspace_id=${encodeURIComponent(workspace.id)}`}
          download={`${table.name}.csv`}
          variant="default"
          icon={IconDownload}
        >
          Export CSV
        </Button>
      )}
      {may("editor") && (
        <>
          <Button variant="default" icon={IconFileImport} onClick={dialog.open}>
            Import CSV
          </Button>
          <DotsMenu button={{ label: "More actions", variant: "default", size: "lg" }}>
            <MenuItem icon={IconPencil} onClick={rename.open}>
              Rename
            </MenuItem>
            <MenuItem color="red" icon={IconTrash} onClick={remove.open}>
              Delete table
            </MenuItem>
          </DotsMenu>
        </>
      )}
      <NameDialog
        opened={renaming}
        onClose={rename.close}
        title="Rename table"
        action="Rename"
        initial={table.name}
        maxLength={100}
        hint="Flows that use the old name will fail until they are changed"
        onName={async (name) => {
          await server.PATCH("/api/tables/{table}", { params: { path }, body: { name } });
          await reload();
        }}
      />
      <ConfirmDialog
        opened={deleting}
        onClose={remove.close}
        title={`Delete “${table.name}”?`}
        action="Delete"
        danger
        onConfirm={async () => {
          await server.DELETE("/api/tables/{table}", { params: { path } });
          go("/tables");
          await reload();
        }}
      >
        All {table.row_count.toLocaleString()} rows are lost. Flows that use this table will fail.
      </ConfirmDialog>
      {importing && <ImportDialog table={table} onClose={dialog.close} onDone={reload} />}
    </>
  );
}

function readConditions(text: string): Condition[] {
  try {
    const found: unknown = JSON.parse(text);
    return Array.isArray(found) ? (found as Condition[]) : [];
  } catch {
    return [];
  }
}

function Rows({ table }: { table: TableInfo }) {
  const client = useQueryClient();
  const reload = useReload();
  const { values, change } = useQueryState(FILTERS);
  const conditions = readConditions(values.filter);
  const path = { table: table.id };
  // The newest rows first, so that a new row is at the top.
  const params = { path, query: { sort: values.sort || "-id", filter: filterOf(conditions), limit: PAGE } };
  const query = api.useInfiniteQuery("get", "/api/tables/{table}/rows", { params }, PAGED);
  const rows = query.data && itemsOf(query.data);
  const selection = useSelection(rows?.map(({ id }) => id) ?? []);
  const [asked, asking] = useDisclosure(false);
  const [focus, setFocus] = useState<string>();

  async function attempt(title: string, work: () => Promise<unknown>) {
    try {
      await work();
    } catch (error) {
      notify.refused(title, error);
    }
  }

  function addRow() {
    void attempt("The row was not added", async () => {
      const made = await server.POST("/api/tables/{table}/rows", { params: { path }, body: { rows: [{}] } });
      await reload();
      setFocus(made.data?.items[0]?.id);
    });
  }

  async function save(row: Row, name: string, value: Value) {
    await attempt("The value was not saved", async () => {
      const changed = await server.PATCH("/api/tables/{table}/rows/{row_id}", {
        params: { path: { ...path, row_id: row.id } },
        body: { values: { [name]: value } },
      });
      type Data = { pages: { items: Row[] }[] };
      client.setQueriesData<Data>({ queryKey: ROWS }, (data) =>
        data?.pages === undefined
          ? data
          : {
              ...data,
              pages: data.pages.map((page) => ({
                ...page,
                items: page.items.map((one) => (one.id === row.id ? (changed.data ?? one) : one)),
              })),
            },
      );
    });
  }

  return (
    <>
      <Group justify="space-between" align="flex-start">
        <Conditions
          columns={table.columns}
          value={conditions}
          onChange={(next) => change({ filter: next.length === 0 ? "" : JSON.stringify(next) })}
        />
        <Group gap="xs">
          {selection.size > 0 && (
            <Button variant="default" color="red" icon={IconTrash} onClick={asking.open}>
              Delete {selection.size}
            </Button>
          )}
          <Button icon={IconPlus} onClick={addRow}>
            Add row
          </Button>
        </Group>
      </Group>
      {query.isPending && <LoadingRows />}
      {query.error && <Refused error={query.error} onRetry={() => void query.refetch()} />}
      {rows !== undefined && (
        <Card pad={false}>
          <Grid
            table={table}
            rows={rows}
            sort={values.sort}
            onSort={(sort) => change({ sort })}
            selection={selection}
            focusRow={focus}
            onSave={save}
            onColumns={reload}
          />
          {rows.length === 0 && (
            <Quiet p="md">
              {conditions.length > 0 ? (
                <>
                  No row matches.{" "}
                  <Anchor component="button" type="button" onClick={() => change({ filter: "" })}>
                    Show all
                  </Anchor>
                </>
              ) : (
                "No rows yet. Add one, import a CSV file, or let a flow write them."
              )}
            </Quiet>
          )}
          <LoadMore query={query} noun="rows" />
        </Card>
      )}
      <Quiet size="xs">
        {query.data?.pages[0] && `${query.data.pages[0].total.toLocaleString()} rows. `}
        Arrow keys move, Enter edits, Escape cancels, Delete empties a cell. Times are in UTC.
      </Quiet>
      <ConfirmDialog
        opened={asked}
        onClose={asking.close}
        title={`Delete ${selection.size} rows?`}
        action="Delete"
        danger
        onConfirm={async () => {
          const ids = (rows ?? []).map(({ id }) => id).filter((id) => selection.has(id));
          for (let at = 0; at < ids.length; at += 500) {
            await server.POST("/api/tables/{table}/rows/delete", {
              params: { path },
              body: { ids: ids.slice(at, at + 500) },
            });
          }
          selection.clear();
          await reload();
        }}
      >
        This cannot be undone.
      </ConfirmDialog>
    </>
  );
}
