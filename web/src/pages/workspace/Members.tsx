/** Who belongs to the workspace and what they may do; the workspace's name, and other workspaces. */
import {
  ActionIcon,
  Badge,
  Button,
  Group,
  Modal,
  PasswordInput,
  Select,
  Stack,
  Text,
  TextInput,
} from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconKey, IconPlus, IconUserMinus } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, type Schemas, server } from "@/api/client";
import { type Role, useSession } from "@/app/session";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { notify } from "@/ui/notify";
import { Card, Page } from "@/ui/Page";
import { LoadingRows, Refused } from "@/ui/states";
import { Actions, Table, Td, Tr } from "@/ui/Table";
import { Time } from "@/ui/Time";
import { ROLE_CHOICES } from "./roles";
import { Workspaces } from "./Workspaces";

type Member = Schemas["MemberOut"];

function useReload() {
  const client = useQueryClient();
  return () => client.invalidateQueries({ queryKey: ["get", "/api/members"] });
}

export default function Members() {
  const { may, workspace } = useSession();
  const [adding, dialog] = useDisclosure(false);
  const { data, error, isPending, refetch } = api.useQuery("get", "/api/members");
  return (
    <Page
      title="Members"
      about={`Who belongs to ${workspace.name}, and what they may do.`}
      actions={
        may("owner") && (
          <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={dialog.open}>
            Add a member
          </Button>
        )
      }
    >
      {isPending && <LoadingRows rows={3} />}
      {error && <Refused error={error} onRetry={() => void refetch()} />}
      {data && (
        <Card pad={false}>
          <Table label="Members" head={["Name", "Email", "Role", "Since", ""]} minWidth={640}>
            {data.items.map((member) => (
              <MemberRow key={member.user_id} member={member} />
            ))}
          </Table>
        </Card>
      )}
      <Roles />
      <Workspaces />
      <AddMember opened={adding} onClose={dialog.close} />
    </Page>
  );
}

function MemberRow({ member }: { member: Member }) {
  const { may, user } = useSession();
  const reload = useReload();
  const [asked, asking] = useDisclosure(false);
  const [resets, resetting] = useDisclosure(false);

  async function change(role: string | null) {
    if (role === null || role === member.role) return;
    try {
      await server.PATCH("/api/members", { body: { user_id: member.user_id, role: role as Role } });
      notify.done(`${member.name} is ${role} now`);
    } catch (error) {
      notify.refused("The role stays as it was", error);
    } finally {
      void reload();
    }
  }

  return (
    <Tr>
      <Td>
        <Group gap="xs">
          <Text size="sm" fw={550} style={{ overflowWrap: "anywhere" }}>
            {member.name}
          </Text>
          {member.user_id === user.id && (
            <Badge size="sm" variant="light" tt="none">
              you
            </Badge>
          )}
        </Group>
      </Td>
      <Td style={{ overflowWrap: "anywhere" }}>{member.email}</Td>
      <Td>
        {may("owner") ? (
          <Select
            aria-label={`Role of ${member.name}`}
            size="xs"
            w={130}
            data={ROLE_CHOICES.map(({ value, label }) => ({ value, label }))}
            value={member.role}
            allowDeselect={false}
            onChange={(role) => void change(role)}
          />
        ) : (
          member.role
        )}
      </Td>
      <Td style={{ whiteSpace: "nowrap" }}>
        <Time at={member.created_at} />
      </Td>
      <Actions>
        {user.admin && member.user_id !== user.id && (
          <ActionIcon
            variant="subtle"
            color="gray"
            aria-label={`Reset the password of ${member.name}`}
            onClick={resetting.open}
          >
            <IconKey size={18} />
          </ActionIcon>
        )}
        {may("owner") && (
          <ActionIcon
            variant="subtle"
            color="red"
            aria-label={`Take ${member.name} out`}
            onClick={asking.open}
          >
            <IconUserMinus size={18} />
          </ActionIcon>
        )}
        {resets && <ResetPassword member={member} onClose={resetting.close} />}
        <ConfirmDialog
          opened={asked}
          onClose={asking.close}
          title={`Take ${member.name} out of the workspace?`}
          action="Take out"
          danger
          onConfirm={async () => {
            await server.DELETE("/api/members", { body: { user_id: member.user_id } });
            await reload();
          }}
        >
          Their API tokens for this workspace end too. What they made stays.
        </ConfirmDialog>
      </Actions>
    </Tr>
  );
}

function Roles() {
  return (
    <Card title="What the roles may do">
      <Stack gap={6}>
        {ROLE_CHOICES.map(({ value, label, about }) => (
          <Text size="sm" key={value}>
            <Text span inherit fw={600}>
              {label}
            </Text>{" "}
            {about}
          </Text>
        ))}
      </Stack>
    </Card>
  );
}

function ResetPassword({ member, onClose }: { member: Member; onClose: () => void }) {
  const [password, setPassword] = useState("");
  const reset = api.useMutation("post", "/api/members/password", {
    onSuccess: () => {
      notify.done(`${member.name} logs in with the new password next`);
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
            For somebody who forgot it. Hand the new one over in a safe way: it is for the next login, where
            they choose their own. They are logged out everywhere, and their API tokens end.
          </Text>
          <PasswordInput
            label="Password for the next login"
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

function AddMember({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const reload = useReload();
  const [email, setEmail] = useState("");
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [role, setRole] = useState<Role>("editor");
  const add = api.useMutation("post", "/api/members", {
    onSuccess: () => {
      void reload();
      setEmail("");
      setName("");
      setPassword("");
      onClose();
    },
  });

  function submit(event: FormEvent) {
    event.preventDefault();
    add.mutate({ body: { email, role, ...(name && { name }), ...(password && { password }) } });
  }

  return (
    <Modal
      opened={opened}
      onClose={onClose}
      title="Add a member"
      centered
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <form onSubmit={submit}>
        <Stack>
          <TextInput
            label="Email"
            type="email"
            required
            data-autofocus
            value={email}
            onChange={(event) => setEmail(event.currentTarget.value)}
          />
          <Select
            label="Role"
            data={ROLE_CHOICES.map(({ value, label }) => ({ value, label }))}
            value={role}
            allowDeselect={false}
            onChange={(next) => next !== null && setRole(next as Role)}
          />
          <Text size="sm" c="var(--quiet)">
            Somebody who has an account on this server already needs no more than that. For a new one, choose
            a name and a first password, and hand it over in a safe way: at their first login they choose
            their own.
          </Text>
          <TextInput label="Name" value={name} onChange={(event) => setName(event.currentTarget.value)} />
          <PasswordInput
            label="First password"
            description="At least 8 characters"
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
              Add
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
