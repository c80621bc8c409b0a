import { Stack, Text } from "@mantine/core";
import { api, server } from "@/api/client";
import { type Credential, useCredentialsChanged } from "@/api/credentials";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { notify } from "@/ui/notify";
import { Loading, messageOf } from "@/ui/states";
import { activeUsers, countInWords, UserList } from "./UsedBy";

/** Asks, and says what uses it now. The server refuses while a flow that is on does. */
export function DeleteDialog({ credential, onClose }: { credential: Credential; onClose: () => void }) {
  const changed = useCredentialsChanged();
  async function remove() {
    await server.DELETE("/api/credentials/{credential}", { params: { path: { credential: credential.id } } });
    await changed();
    notify.done(`The credential “${credential.name}” is deleted`);
  }
  return (
    <ConfirmDialog
      opened
      onClose={onClose}
      title={`Delete “${credential.name}”?`}
      action="Delete"
      danger
      onConfirm={remove}
    >
      <Stack gap="sm">
        <Text size="sm">Its values cannot be got back.</Text>
        <WhoLosesIt id={credential.id} />
      </Stack>
    </ConfirmDialog>
  );
}

function WhoLosesIt({ id }: { id: string }) {
  const params = { params: { path: { credential: id } } };
  const { data, error } = api.useQuery("get", "/api/credentials/{credential}", params, { gcTime: 0 });
  if (error) return <Text size="sm">What uses it cannot be said now: {messageOf(error)}</Text>;
  if (data === undefined) return <Loading label="Looking for what uses it" />;
  if (data.used_by_count === 0) return <Text size="sm">No flow and no agent uses it.</Text>;
  const isKept = activeUsers(data).length > 0;
  return (
    <div>
      <Text size="sm" fw={600}>
        Used by {countInWords(data)}
      </Text>
      <UserList credential={data} />
      <Text size="sm" mt="xs">
        {isKept
          ? "It cannot be deleted while a flow that uses it is on: switch that off, or give it another credential."
          : "They will fail where they need it, until they name another one."}
      </Text>
    </div>
  );
}
