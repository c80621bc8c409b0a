/** The names in the workspace that a setting can have, read from the server. */
import { server } from "@/api/client";
import type { Choice, Choices } from "@/api/connectors";
import type { Json } from "@/definition/types";
import { folderOf, foldersOf, type Names } from "./names";

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

export const LISTS: Record<Names, (asked: Asked) => Promise<Choices>> = {
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
