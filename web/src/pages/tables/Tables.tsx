/** The workspace's tables and its key-value store, which all flows share. */

import { ActionIcon, Anchor, Code, Group, JsonInput, NumberInput, Stack, Tabs, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconPencil, IconPlus, IconTable } from "@tabler/icons-react";
import { useState } from "react";
import { Link, useLocation } from "wouter";
import { usePack } from "@/api/catalogue";
import { api, type Schemas, server } from "@/api/client";
import { useReload } from "@/api/queries";
import { useSession } from "@/app/session";
import { Button } from "@/ui/Button";
import { RemoveButton } from "@/ui/ConfirmDialog";
import { FormDialog, jsonOrText, NameDialog } from "@/ui/FormDialog";
import { itemsOf, LoadMore, PAGED } from "@/ui/LoadMore";
import { useQueryState } from "@/ui/listState";
import { Card, Page } from "@/ui/Page";
import { SearchInput } from "@/ui/SearchInput";
import { Empty, LoadingRows, Refused } from "@/ui/states";
import { Actions, Table, Td, Tr } from "@/ui/Table";
import { Time } from "@/ui/Time";

// The key-value store as a table: filter by the beginning of the key, add, edit, delete.

type Entry = Schemas["EntryOut"];

function StoreEntries() {
  const reload = useReload("/api/store");
  const [prefix, setPrefix] = useState("");
  const [edited, setEdited] = useState<Entry | "new" | null>(null);
  const params = { query: { prefix, limit: 100 } };
  const query = api.useInfiniteQuery("get", "/api/store", { params }, PAGED);
  const items = query.data && itemsOf(query.data);
  return (
    <Stack>
      <Group justify="space-between">
        <SearchInput label="Keys that begin with" value={prefix} onChange={setPrefix} />
        <Button variant="default" icon={IconPlus} onClick={() => setEdited("new")}>
          Add key
        </Button>
      </Group>
      {query.isPending && <LoadingRows />}
      {query.error && <Refused error={query.error} onRetry={() => void query.refetch()} />}
      {items?.length === 0 && (
        <Empty
          title={prefix ? "No key begins with this" : "No keys yet"}
          hint={prefix ? undefined : "Flows keep values here with the Store node."}
        />
      )}
      {items !== undefined && items.length > 0 && (
        <Card pad={false}>
          <Table label="Key-value store" head={["Key", "Value", "Changed", "Expires", ""]} minWidth={640}>
            {items.map((entry) => (
              <EntryRow key={entry.key} entry={entry} onEdit={() => setEdited(entry)} onGone={reload} />
            ))}
          </Table>
          <LoadMore query={query} noun="keys" />
        </Card>
      )}
      {edited !== null && (
        <EditEntry entry={edited === "new" ? null : edited} onClose={() => setEdited(null)} onSaved={reload} />
      )}
    </Stack>
  );
}

function EntryRow({ entry, onEdit, onGone }: { entry: Entry; onEdit: () => void; onGone: () => Promise<void> }) {
  const text = JSON.stringify(entry.value);
  return (
    <Tr>
      <Td fw={550} style={{ overflowWrap: "anywhere" }}>
        {entry.key}
      </Td>
      <Td style={{ overflowWrap: "anywhere", maxWidth: 420 }}>
        <Code>{text.length > 200 ? `${text.slice(0, 200)}…` : text}</Code>
      </Td>
      <Td>
        <Time at={entry.updated_at} />
      </Td>
      <Td>{entry.expires_at === null ? "Never" : <Time at={entry.expires_at} />}</Td>
      <Actions>
        <ActionIcon variant="subtle" aria-label={`Edit ${entry.key}`} onClick={onEdit}>
          <IconPencil size={18} aria-hidden />
        </ActionIcon>
        <RemoveButton
          label={`Delete ${entry.key}`}
          title={`Delete “${entry.key}”?`}
          action="Delete"
          onConfirm={async () => {
            await server.DELETE("/api/store/{key}", { params: { path: { key: entry.key } } });
            await onGone();
          }}
        >
          Flows that read this key will get no value.
        </RemoveButton>
      </Actions>
    </Tr>
  );
}

interface EditProps {
  entry: Entry | null;
  onClose: () => void;
  onSaved: () => Promise<void>;
}

function EditEntry({ entry, onClose, onSaved }: EditProps) {
  return (
    <FormDialog
      onClose={onClose}
      title={entry === null ? "Add key" : `Edit “${entry.key}”`}
      centered={false}
      action="Save"
      initial={{
        key: entry?.key ?? "",
        text: entry === null ? "" : JSON.stringify(entry.value, null, 2),
        ttl: "" as number | string,
      }}
      isReady={({ key }) => key !== ""}
      onSubmit={async ({ key, text, ttl }) => {
        const body = { value: jsonOrText(text), ttl: typeof ttl === "number" ? ttl : null };
        await server.PUT("/api/store/{key}", { params: { path: { key } }, body });
        await onSaved();
      }}
    >
      {({ bind }) => (
        <>
          {entry === null && (
            <TextInput
              label="Key"
              description="Such as rates/eur"
              required
              maxLength={200}
              data-autofocus
              {...bind("key")}
            />
          )}
          <JsonInput
            label="Value"
            description="JSON; anything else is stored as text"
            autosize
            minRows={3}
            maxRows={14}
            {...bind("text")}
          />
          <NumberInput
            label="Expires after (seconds)"
            description="Leave empty for no expiry"
            min={1}
            {...bind("ttl")}
          />
        </>
      )}
    </FormDialog>
  );
}

const FILTERS = { tab: "tables" };

export default function Tables() {
  const { may } = useSession();
  const { values, change } = useQueryState(FILTERS);
  const [asked, asking] = useDisclosure(false);
  const [, go] = useLocation();
  const reload = useReload("/api/tables");
  const hasTables = usePack("tables");
  const tab = hasTables ? values.tab : "store";

  async function create(name: string) {
    const made = await server.POST("/api/tables", {
      body: { name, columns: [{ name: "name", type: "text" }] },
    });
    await reload();
    if (made.data !== undefined) go(`/tables/${made.data.id}`);
  }

  const button = may("editor") && tab === "tables" && (
    <Button icon={IconPlus} onClick={asking.open}>
      New table
    </Button>
  );
  return (
    <Page
      title={hasTables ? "Tables" : "Key-value store"}
      docs="tables"
      about={
        hasTables
          ? "Rows that all flows of this workspace share. Flows read and write them with the Table node."
          : "Values that all flows of this workspace share."
      }
      actions={button}
    >
      <Tabs value={tab} onChange={(chosen) => change({ tab: chosen ?? "tables" })} keepMounted={false}>
        <Tabs.List>
          {hasTables && <Tabs.Tab value="tables">Tables</Tabs.Tab>}
          {may("operator") && <Tabs.Tab value="store">Key-value store</Tabs.Tab>}
        </Tabs.List>
        <Tabs.Panel value="tables" pt="md">
          <List />
        </Tabs.Panel>
        <Tabs.Panel value="store" pt="md">
          <StoreEntries />
        </Tabs.Panel>
      </Tabs>
      <NameDialog
        opened={asked}
        onClose={asking.close}
        title="New table"
        action="Create"
        maxLength={100}
        hint="Flows use the table by this name"
        onName={create}
      />
    </Page>
  );
}

function List() {
  const { may } = useSession();
  const { data, error, isPending, refetch } = api.useQuery("get", "/api/tables");
  if (isPending) return <LoadingRows rows={3} />;
  if (error) return <Refused error={error} onRetry={() => void refetch()} />;
  if (data.items.length === 0) {
    return (
      <Empty
        icon={<IconTable size={40} stroke={1.4} color="var(--quiet)" aria-hidden />}
        title="No tables yet"
        hint={
          may("editor")
            ? "Create one, or let a Table node with “Create table and columns” create it."
            : "Flows and editors can create tables."
        }
      />
    );
  }
  return (
    <Card pad={false}>
      <Table label="Tables" head={["Name", "Columns", "Rows", "Changed"]}>
        {data.items.map((table) => (
          <Tr key={table.id}>
            <Td style={{ overflowWrap: "anywhere" }}>
              <Anchor component={Link} href={`/tables/${table.id}`} size="sm" fw={550}>
                {table.name}
              </Anchor>
            </Td>
            <Td>{table.columns.map(({ name }) => name).join(", ")}</Td>
            <Td>{table.row_count.toLocaleString()}</Td>
            <Td>
              <Time at={table.updated_at} />
            </Td>
          </Tr>
        ))}
      </Table>
    </Card>
  );
}
