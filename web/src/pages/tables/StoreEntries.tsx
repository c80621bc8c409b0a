/** The key-value store as a table: filter by the beginning of the key, add, edit, delete. */
import { ActionIcon, Button, Code, Group, JsonInput, NumberInput, Stack, TextInput } from "@mantine/core";
import { IconPencil, IconPlus } from "@tabler/icons-react";
import { useState } from "react";
import { api, type Schemas, server } from "@/api/client";
import { useReload } from "@/api/queries";
import { RemoveButton } from "@/ui/ConfirmDialog";
import { FormDialog } from "@/ui/FormDialog";
import { itemsOf, LoadMore, PAGED } from "@/ui/LoadMore";
import { Card } from "@/ui/Page";
import { SearchInput } from "@/ui/SearchInput";
import { Empty, LoadingRows, Refused } from "@/ui/states";
import { Actions, Table, Td, Tr } from "@/ui/Table";
import { Time } from "@/ui/Time";
import { jsonOrText } from "@/ui/useForm";

type Entry = Schemas["EntryOut"];

export function StoreEntries() {
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
        <Button
          variant="default"
          leftSection={<IconPlus size={16} aria-hidden />}
          onClick={() => setEdited("new")}
        >
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
        <EditEntry
          entry={edited === "new" ? null : edited}
          onClose={() => setEdited(null)}
          onSaved={reload}
        />
      )}
    </Stack>
  );
}

function EntryRow({
  entry,
  onEdit,
  onGone,
}: {
  entry: Entry;
  onEdit: () => void;
  onGone: () => Promise<void>;
}) {
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
