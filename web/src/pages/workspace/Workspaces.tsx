import { Button, Group, Stack, Text, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { api } from "@/api/client";
import { useReload } from "@/api/queries";
import { useSession } from "@/app/session";
import { notify } from "@/ui/notify";
import { Card } from "@/ui/Page";
import { Refused } from "@/ui/states";

/** Rename this workspace, or create another. */
export function Workspaces() {
  const { may, user } = useSession();
  if (!may("owner") && !user.may_found_workspaces) return null;
  return (
    <Card title="Workspaces">
      <Stack>
        {may("owner") && <Rename />}
        {user.may_found_workspaces && <NewWorkspace />}
      </Stack>
    </Card>
  );
}

function Rename() {
  const { workspace } = useSession();
  const refresh = useReload("/api/auth/session");
  const [name, setName] = useState(workspace.name);
  const rename = api.useMutation("patch", "/api/workspaces/{workspace}", {
    onSuccess: () => {
      notify.done("Workspace renamed");
      void refresh();
    },
  });

  function submit(event: FormEvent) {
    event.preventDefault();
    rename.mutate({ params: { path: { workspace: workspace.id } }, body: { name } });
  }

  return (
    <form onSubmit={submit}>
      <Group align="flex-end">
        <TextInput
          label="Workspace name"
          required
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
        />
        <Button type="submit" variant="default" disabled={name === workspace.name} loading={rename.isPending}>
          Rename
        </Button>
      </Group>
      {rename.error && <Refused error={rename.error} />}
    </form>
  );
}

function NewWorkspace() {
  const { switchTo } = useSession();
  const refresh = useReload("/api/auth/session");
  const [name, setName] = useState("");
  const add = api.useMutation("post", "/api/workspaces", {
    onSuccess: async (made) => {
      setName("");
      await refresh();
      switchTo(made.id);
      notify.done(`Switched to ${made.name}`);
    },
  });

  function submit(event: FormEvent) {
    event.preventDefault();
    add.mutate({ body: { name } });
  }

  return (
    <form onSubmit={submit}>
      <Group align="flex-end">
        <TextInput
          label="New workspace"
          placeholder="For example Marketing"
          required
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
        />
        <Button type="submit" variant="default" loading={add.isPending}>
          Create
        </Button>
      </Group>
      <Text size="sm" c="var(--quiet)" mt={4}>
        Each workspace has its own flows, runs, credentials and members. You become the owner.
      </Text>
      {add.error && <Refused error={add.error} />}
    </form>
  );
}
