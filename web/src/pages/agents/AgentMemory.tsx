import { ActionIcon, Button, Group, Modal, Stack, TagsInput, Text, Textarea, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconPencil, IconPlus, IconTrash } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, type Schemas, server } from "@/api/client";
import { useSession } from "@/app/session";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { itemsOf, LoadMore, PAGED } from "@/ui/LoadMore";
import { Card } from "@/ui/Page";
import { SearchInput } from "@/ui/SearchInput";
import { Empty, LoadingRows, Refused } from "@/ui/states";
import { Time } from "@/ui/Time";

type Memory = Schemas["MemoryOut"];
type Entry = Pick<Memory, "key" | "content" | "session"> & { tags: string[] };

const BLANK: Entry = { key: "", content: "", session: "", tags: [] };

/** The entries of an agent's memory: search, add, edit, delete. */
export function AgentMemory({ agentId }: { agentId: string }) {
  const { may } = useSession();
  const client = useQueryClient();
  const [search, setSearch] = useState("");
  const [edited, setEdited] = useState<Entry | null>(null);
  const query = api.useInfiniteQuery(
    "get",
    "/api/agent/memory",
    { params: { query: { agent_id: agentId, search: search || undefined } } },
    PAGED,
  );
  const items = query.data && itemsOf(query.data);
  const reload = () => client.invalidateQueries({ queryKey: ["get", "/api/agent/memory"] });

  return (
    <Stack>
      <Group justify="space-between">
        <SearchInput label="Search memory" value={search} onChange={setSearch} />
        {may("operator") && (
          <Button
            variant="default"
            leftSection={<IconPlus size={16} aria-hidden />}
            onClick={() => setEdited(BLANK)}
          >
            Add
          </Button>
        )}
      </Group>
      {query.isPending && <LoadingRows />}
      {query.error && <Refused error={query.error} onRetry={() => void query.refetch()} />}
      {items?.length === 0 && (
        <Empty
          title={search ? "No matching memories" : "No memories yet"}
          hint={
            search ? undefined : "Agents with the memory tool save entries here. You can add entries too."
          }
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
  const [asked, asking] = useDisclosure(false);
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
          <Text size="xs" c="var(--quiet)">
            {about.filter(Boolean).join(" · ")} <Time at={memory.updated_at} />
          </Text>
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
            <ActionIcon
              variant="subtle"
              color="red"
              aria-label={`Delete ${memory.key}`}
              onClick={asking.open}
            >
              <IconTrash size={16} />
            </ActionIcon>
          </Group>
        )}
      </Group>
      <ConfirmDialog
        opened={asked}
        onClose={asking.close}
        title={`Delete “${memory.key}”?`}
        action="Delete"
        danger
        onConfirm={async () => {
          await server.DELETE("/api/agent/memory/{memory}", { params: { path: { memory: memory.id } } });
          onGone();
        }}
      >
        The agent will no longer know this entry.
      </ConfirmDialog>
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
  const [draft, setDraft] = useState(entry);
  const save = api.useMutation("post", "/api/agent/memory", {
    onSuccess: () => {
      onSaved();
      onClose();
    },
  });

  function submit(event: FormEvent) {
    event.preventDefault();
    save.mutate({
      body: {
        agent_id: agentId,
        key: draft.key,
        content: draft.content,
        session: draft.session,
        tags: draft.tags,
        expires_in: null,
      },
    });
  }

  const isNew = entry === BLANK;
  return (
    <Modal
      opened
      onClose={onClose}
      title={isNew ? "Add memory" : "Edit memory"}
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <form onSubmit={submit}>
        <Stack>
          <TextInput
            label="Key"
            description="An entry with the same key and session is overwritten"
            required
            readOnly={!isNew}
            data-autofocus={isNew || undefined}
            value={draft.key}
            onChange={(event) => setDraft({ ...draft, key: event.currentTarget.value })}
          />
          <Textarea
            label="Content"
            autosize
            minRows={3}
            maxRows={14}
            value={draft.content}
            onChange={(event) => setDraft({ ...draft, content: event.currentTarget.value })}
          />
          <TextInput
            label="Session"
            description="Empty: shared by all sessions"
            readOnly={!isNew}
            value={draft.session}
            onChange={(event) => setDraft({ ...draft, session: event.currentTarget.value })}
          />
          <TagsInput label="Tags" value={draft.tags} onChange={(tags) => setDraft({ ...draft, tags })} />
          {save.error && <Refused error={save.error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={save.isPending}>
              Save
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
