import { ActionIcon, Group, Stack, TagsInput, Text, Textarea, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconPencil, IconPlus, IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import { api, type Schemas, server } from "@/api/client";
import { useReload } from "@/api/queries";
import { useSession } from "@/app/session";
import { Button } from "@/ui/Button";
import { RemoveButton } from "@/ui/ConfirmDialog";
import { FormDialog } from "@/ui/FormDialog";
import { itemsOf, LoadMore, PAGED } from "@/ui/LoadMore";
import { Card } from "@/ui/Page";
import { Quiet } from "@/ui/Quiet";
import { SearchInput } from "@/ui/SearchInput";
import { Empty, LoadingRows, Refused } from "@/ui/states";
import { Time } from "@/ui/Time";

type Memory = Schemas["MemoryOut"];
type Entry = Pick<Memory, "key" | "content" | "session"> & { tags: string[] };

const BLANK: Entry = { key: "", content: "", session: "", tags: [] };

/** The entries of an agent's memory: search, add, edit, delete. */
export function AgentMemory({ agentId }: { agentId: string }) {
  const { may } = useSession();
  const reload = useReload("/api/agent/memory");
  const [search, setSearch] = useState("");
  const [edited, setEdited] = useState<Entry | null>(null);
  const query = api.useInfiniteQuery(
    "get",
    "/api/agent/memory",
    { params: { query: { agent_id: agentId, search: search || undefined } } },
    PAGED,
  );
  const items = query.data && itemsOf(query.data);

  return (
    <Stack>
      <Group justify="space-between">
        <SearchInput label="Search memory" value={search} onChange={setSearch} />
        {may("operator") && (
          <Button variant="default" icon={IconPlus} onClick={() => setEdited(BLANK)}>
            Add
          </Button>
        )}
      </Group>
      {query.isPending && <LoadingRows />}
      {query.error && <Refused error={query.error} onRetry={() => void query.refetch()} />}
      {items?.length === 0 && (
        <Empty
          title={search ? "No matching memories" : "No memories yet"}
          hint={search ? undefined : "Agents with the memory tool save entries here. You can add entries too."}
        />
      )}
      {items?.map((memory) => (
        <MemoryCard key={memory.id} memory={memory} onEdit={setEdited} onGone={reload} />
      ))}
      <LoadMore query={query} noun="memories" />
      {edited !== null && (
        <EditMemory agentId={agentId} entry={edited} onClose={() => setEdited(null)} onSaved={reload} />
      )}
    </Stack>
  );
}

function tagsOf(memory: Memory): string[] {
  return Array.isArray(memory.tags) ? memory.tags.map(String) : [];
}

function MemoryCard({
  memory,
  onEdit,
  onGone,
}: {
  memory: Memory;
  onEdit: (entry: Entry) => void;
  onGone: () => void;
}) {
  const { may } = useSession();
  const [whole, { toggle }] = useDisclosure(false);
  const long = memory.content.length > 400;
  const about = [memory.session && `session ${memory.session}`, ...tagsOf(memory).map((tag) => `#${tag}`)];
  return (
    <Card>
      <Group justify="space-between" wrap="nowrap" align="flex-start">
        <Stack gap={4} miw={0}>
          <Text size="sm" fw={600} style={{ overflowWrap: "anywhere" }}>
            {memory.key}
          </Text>
          <Text
            size="sm"
            lineClamp={whole ? undefined : 4}
            style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}
          >
            {memory.content}
          </Text>
          {long && (
            <Button
              variant="subtle"
              size="compact-xs"
              onClick={toggle}
              aria-expanded={whole}
              style={{ alignSelf: "flex-start" }}
            >
              {whole ? "Show less" : "Show all"}
            </Button>
          )}
          <Quiet size="xs">
            {about.filter(Boolean).join(" · ")} <Time at={memory.updated_at} />
          </Quiet>
        </Stack>
        {may("operator") && (
          <Group gap={4} wrap="nowrap">
            <ActionIcon
              variant="subtle"
              aria-label={`Edit ${memory.key}`}
              onClick={() => onEdit({ ...memory, tags: tagsOf(memory) })}
            >
              <IconPencil size={16} />
            </ActionIcon>
            <RemoveButton
              label={`Delete ${memory.key}`}
              icon={<IconTrash size={16} />}
              title={`Delete “${memory.key}”?`}
              action="Delete"
              onConfirm={async () => {
                await server.DELETE("/api/agent/memory/{memory}", {
                  params: { path: { memory: memory.id } },
                });
                void onGone();
              }}
            >
              The agent will no longer know this entry.
            </RemoveButton>
          </Group>
        )}
      </Group>
    </Card>
  );
}

interface EditProps {
  agentId: string;
  entry: Entry;
  onClose: () => void;
  onSaved: () => void;
}

function EditMemory({ agentId, entry, onClose, onSaved }: EditProps) {
  const isNew = entry === BLANK;
  return (
    <FormDialog
      onClose={onClose}
      title={isNew ? "Add memory" : "Edit memory"}
      centered={false}
      action="Save"
      initial={entry}
      onSubmit={async ({ key, content, session, tags }) => {
        const body = { agent_id: agentId, key, content, session, tags, expires_in: null };
        await server.POST("/api/agent/memory", { body });
        void onSaved();
      }}
    >
      {({ bind }) => (
        <>
          <TextInput
            label="Key"
            description="An entry with the same key and session is overwritten"
            required
            readOnly={!isNew}
            data-autofocus={isNew || undefined}
            {...bind("key")}
          />
          <Textarea label="Content" autosize minRows={3} maxRows={14} {...bind("content")} />
          <TextInput
            label="Session"
            description="Empty: shared by all sessions"
            readOnly={!isNew}
            {...bind("session")}
          />
          <TagsInput label="Tags" {...bind("tags")} />
        </>
      )}
    </FormDialog>
  );
}
