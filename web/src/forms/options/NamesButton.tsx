/** A button beside a text field: choose the name of something that the workspace has. */

import { Combobox } from "@mantine/core";
import { server } from "@/api/client";
import type { Choice, Choices } from "@/api/connectors";
import type { Json } from "@/definition/types";
import { useForm, useSettings } from "../context";
import type { InputProps } from "../fields/FieldFrame";
import { listOf } from "../schema/values";
import { EMPTY, folderOf, foldersOf, type Names, reasonOf, textOf, toggled } from "./choices";
import { OpenButton, OptionsBox } from "./OptionsBox";
import { useChoices } from "./useChoices";

// The names in the workspace that a setting can have, read from the server.

const LIMIT = 200;
/** Columns that every table has. */
const SYSTEM_COLUMNS = ["id", "created_at", "updated_at"];

interface Asked {
  config: Record<string, Json>;
  /** The text of the search. */
  search: string;
  signal: AbortSignal;
}

function chosenOf(values: readonly string[]): Choice[] {
  return values.map((value) => ({ value, label: value }));
}

async function listTables({ signal }: Asked) {
  const { data } = await server.GET("/api/tables", { signal });
  return data?.items ?? [];
}

async function listFiles({ search, signal }: Asked) {
  const query = { prefix: folderOf(search), limit: LIMIT };
  const { data } = await server.GET("/api/files", { params: { query }, signal });
  return { paths: data?.items.map((file) => file.path) ?? [], truncated: Boolean(data?.next_cursor) };
}

const LISTS: Record<Names, (asked: Asked) => Promise<Choices>> = {
  table: async (asked) => ({
    items: chosenOf((await listTables(asked)).map((table) => table.name)),
    truncated: false,
  }),
  column: async (asked) => {
    const table = (await listTables(asked)).find((one) => one.name === asked.config.table);
    const columns = table?.columns.map((column) => column.name);
    return {
      items: chosenOf(columns === undefined ? [] : [...columns, ...SYSTEM_COLUMNS]),
      truncated: false,
    };
  },
  store_key: async ({ search, signal }) => {
    const query = { prefix: folderOf(search), limit: LIMIT };
    const { data } = await server.GET("/api/store", { params: { query }, signal });
    const keys = data?.items.map((entry) => entry.key) ?? [];
    return { items: chosenOf(keys), truncated: Boolean(data?.next_cursor) };
  },
  file: async (asked) => {
    const { paths, truncated } = await listFiles(asked);
    return { items: chosenOf(paths), truncated };
  },
  files: (asked) => LISTS.file(asked),
  folder: async (asked) => {
    const { paths, truncated } = await listFiles(asked);
    return { items: chosenOf(foldersOf(paths)), truncated };
  },
};

export function NamesButton(props: InputProps & { names: Names }) {
  const { readOnly } = useForm();
  // A plugin may be of a later version.
  return readOnly || !Object.hasOwn(LISTS, props.names) ? null : <NameChoices {...props} />;
}

function NameChoices({ id, leaf, names, value, onChange }: InputProps & { names: Names }) {
  const { value: config } = useSettings();
  const options = useChoices((search) => ({
    key: ["names", names, names === "column" ? config.table : folderOf(search)],
    load: (signal) => LISTS[names]({ config, search, signal }),
    // Runs add tables and files at any time.
    staleTime: 0,
    name: "the server",
    reason: reasonOf(names, config),
    empty: EMPTY[names],
  }));
  return (
    <OptionsBox
      options={options}
      label={leaf.label}
      id={id}
      position="bottom-end"
      width={320}
      chosen={names === "files" ? listOf(value).map(textOf) : undefined}
      onPick={(picked) => onChange(names === "files" ? toggled(listOf(value), picked) : picked)}
    >
      <Combobox.DropdownTarget>
        <div>
          <OpenButton box={options.box} label={leaf.label} size={36} />
        </div>
      </Combobox.DropdownTarget>
    </OptionsBox>
  );
}
