import { server } from "@/api/client";
import { type Credential, useCredentialsChanged } from "@/api/credentials";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { notify } from "@/ui/notify";

/** Asks, and says which flow uses it where the server refuses. */
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
      Its values cannot be got back. Drafts that name it will fail until they name another one; an active flow
      that uses it keeps it from being deleted.
    </ConfirmDialog>
  );
}
