import { Stack, Text } from "@mantine/core";
import { useState } from "react";
import { api, server } from "@/api/client";
import { type Credential, useCredentialsChanged } from "@/api/credentials";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { notify } from "@/ui/notify";
import { Loading, messageOf } from "@/ui/states";
import { activeUsers, countInWords, UserList } from "./UsedBy";

/** Ask for confirmation and list the flows and agents that use it. The server refuses if an active flow uses it. */
export function DeleteDialog({ credential, onClose }: { credential: Credential; onClose: () => void }) {
  const changed = useCredentialsChanged();
  const [isDeleted, setDeleted] = useState(false);
  async function remove() {
    await server.DELETE("/api/credentials/{credential}", { params: { path: { credential: credential.id } } });
    // What uses it is asked for no more: there is nothing to ask for.
    setDeleted(true);
    await changed();
    notify.done(`Credential “${credential.name}” deleted`);
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
        <Text size="sm">Its values cannot be restored.</Text>
        {!isDeleted && <WhoLosesIt id={credential.id} />}
      </Stack>
    </ConfirmDialog>
  );
}

function WhoLosesIt({ id }: { id: string }) {
  const params = { params: { path: { credential: id } } };
  const { data, error } = api.useQuery("get", "/api/credentials/{credential}", params, { gcTime: 0 });
  if (error) return <Text size="sm">Could not find out what uses it: {messageOf(error)}</Text>;
  if (data === undefined) return <Loading label="Looking for what uses it" />;
  if (data.used_by_count === 0) return <Text size="sm">No flow or agent uses it.</Text>;
  const isKept = activeUsers(data).length > 0;
  return (
    <div>
      <Text size="sm" fw={600}>
        Used by {countInWords(data)}
      </Text>
      <UserList credential={data} />
      <Text size="sm" mt="xs">
        {isKept
          ? "You cannot delete it while an active flow uses it. Deactivate the flow, or choose another credential in it."
          : "They will fail until you choose another credential in them."}
      </Text>
    </div>
  );
}
