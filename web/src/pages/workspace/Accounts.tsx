/** Tasks of server admins: create an account with a first password, reset a password. */
import { Button, Group, Modal, PasswordInput, Select, Stack, Text, TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, type Schemas } from "@/api/client";
import type { Role } from "@/app/session";
import { notify } from "@/ui/notify";
import { Refused } from "@/ui/states";
import { ROLE_CHOICES, roleRights } from "./roles";

interface ResetPasswordProps {
  member: Schemas["MemberOut"];
  onClose: () => void;
}

export function ResetPassword({ member, onClose }: ResetPasswordProps) {
  const [password, setPassword] = useState("");
  const reset = api.useMutation("post", "/api/members/password", {
    onSuccess: () => {
      notify.done(`The password of ${member.name} was reset`);
      onClose();
    },
  });

  function submit(event: FormEvent) {
    event.preventDefault();
    reset.mutate({ body: { user_id: member.user_id, password } });
  }

  return (
    <Modal opened onClose={onClose} title={`Reset the password of ${member.name}`} centered>
      <form onSubmit={submit}>
        <Stack>
          <Text size="sm" c="var(--quiet)">
            Send the new password over a secure channel. It is valid for one login, after which they choose
            their own. They are logged out everywhere and their API tokens are revoked.
          </Text>
          <PasswordInput
            label="Temporary password"
            description="At least 8 characters"
            required
            minLength={8}
            autoComplete="new-password"
            data-autofocus
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
          />
          {reset.error && <Refused error={reset.error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={reset.isPending}>
              Reset
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

export function CreateAccount({ onClose }: { onClose: () => void }) {
  const client = useQueryClient();
  const [email, setEmail] = useState("");
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [role, setRole] = useState<Role>("editor");
  const add = api.useMutation("post", "/api/members", {
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ["get", "/api/members"] });
      onClose();
    },
  });

  function submit(event: FormEvent) {
    event.preventDefault();
    add.mutate({ body: { email, role, password, ...(name && { name }) } });
  }

  return (
    <Modal opened onClose={onClose} title="Create account" centered>
      <form onSubmit={submit}>
        <Stack>
          <Text size="sm" c="var(--quiet)">
            For people without an account on this server. Send the password over a secure channel: they choose
            their own at the first login. Invite people who already have an account.
          </Text>
          <TextInput
            label="Email"
            type="email"
            required
            data-autofocus
            autoComplete="off"
            value={email}
            onChange={(event) => setEmail(event.currentTarget.value)}
          />
          <TextInput label="Name" value={name} onChange={(event) => setName(event.currentTarget.value)} />
          <Select
            label="Role"
            description={roleRights(role)}
            data={ROLE_CHOICES.map(({ value, label }) => ({ value, label }))}
            value={role}
            allowDeselect={false}
            onChange={(next) => next !== null && setRole(next as Role)}
          />
          <PasswordInput
            label="Temporary password"
            description="At least 8 characters"
            required
            minLength={8}
            autoComplete="new-password"
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
          />
          {add.error && <Refused error={add.error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={add.isPending}>
              Create
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
