/** The members of the workspace and their roles; the workspace's name, and other workspaces. */

import {
  Badge,
  CopyButton,
  Group,
  Modal,
  PasswordInput,
  type PasswordInputProps,
  Select,
  Stack,
  Text,
  TextInput,
} from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconCheck, IconCopy, IconKey, IconMailPlus, IconMailX, IconUserMinus } from "@tabler/icons-react";
import { useState } from "react";
import { api, type Schemas, server } from "@/api/client";
import { useReload } from "@/api/queries";
import { type Role, useSession } from "@/app/session";
import { Button } from "@/ui/Button";
import { RemoveButton } from "@/ui/ConfirmDialog";
import { DialogForm, FormDialog } from "@/ui/FormDialog";
import { Form, useFields } from "@/ui/form";
import { IconButton } from "@/ui/IconButton";
import { notify } from "@/ui/notify";
import { Card, Page } from "@/ui/Page";
import { Quiet } from "@/ui/Quiet";
import { LoadingRows, Refused } from "@/ui/states";
import { Actions, Table, Td, Tr } from "@/ui/Table";
import { Time } from "@/ui/Time";
import { ROLE_CHOICES, roleLabel, roleRights } from "./roles";

// Tasks of server admins: create an account with a first password, reset a password.

interface ResetPasswordProps {
  member: Schemas["MemberOut"];
  onClose: () => void;
}

function ResetPassword({ member, onClose }: ResetPasswordProps) {
  return (
    <FormDialog
      onClose={onClose}
      title={`Reset the password of ${member.name}`}
      action="Reset"
      initial={{ password: "" }}
      onSubmit={async ({ password }) => {
        await server.POST("/api/members/password", { body: { user_id: member.user_id, password } });
        notify.done(`The password of ${member.name} was reset`);
      }}
    >
      {({ bind }) => (
        <>
          <Quiet>
            Send the new password over a secure channel. It is valid for one login, after which they choose their own.
            They are logged out everywhere and their API tokens are revoked.
          </Quiet>
          <TemporaryPassword {...bind("password")} data-autofocus />
        </>
      )}
    </FormDialog>
  );
}

function CreateAccount({ onClose }: { onClose: () => void }) {
  const reload = useReload("/api/members");
  return (
    <FormDialog
      onClose={onClose}
      title="Create account"
      action="Create"
      initial={{ email: "", name: "", role: "editor" as Role, password: "" }}
      onSubmit={async ({ name, ...account }) => {
        await server.POST("/api/members", { body: { ...account, ...(name && { name }) } });
        void reload();
      }}
    >
      {({ values, bind }) => (
        <>
          <Quiet>
            For people without an account on this server. Send the password over a secure channel: they choose their own
            at the first login. Invite people who already have an account.
          </Quiet>
          <TextInput label="Email" type="email" required data-autofocus autoComplete="off" {...bind("email")} />
          <TextInput label="Name" {...bind("name")} />
          <Select label="Role" description={roleRights(values.role)} data={ROLE_CHOICES} {...bind("role")} />
          <TemporaryPassword {...bind("password")} />
        </>
      )}
    </FormDialog>
  );
}

function TemporaryPassword(props: PasswordInputProps) {
  return (
    <PasswordInput
      label="Temporary password"
      description="At least 8 characters"
      required
      minLength={8}
      autoComplete="new-password"
      {...props}
    />
  );
}

// The invitations of a workspace, for owners: the list of pending ones, and a dialog that creates one with its link.

type Invitation = Schemas["InvitationOut"];

function Invitations() {
  const { data, error, isPending, refetch } = api.useQuery("get", "/api/invitations");
  const items = data?.items ?? [];
  return (
    <Card title="Pending invitations" pad={items.length === 0}>
      {isPending && <LoadingRows rows={1} />}
      {error && <Refused error={error} onRetry={() => void refetch()} />}
      {data && items.length === 0 && (
        <Quiet>No pending invitations. An invitation is a link that works once, within 72 hours.</Quiet>
      )}
      {items.length > 0 && (
        <Table label="Pending invitations" head={["Email", "Role", "Invited by", "Expires", ""]} minWidth={640}>
          {items.map((invitation) => (
            <Row key={invitation.id} invitation={invitation} />
          ))}
        </Table>
      )}
    </Card>
  );
}

function Row({ invitation }: { invitation: Invitation }) {
  const reload = useReload("/api/invitations");
  return (
    <Tr>
      <Td style={{ overflowWrap: "anywhere" }}>{invitation.email}</Td>
      <Td>{roleLabel(invitation.role)}</Td>
      <Td style={{ overflowWrap: "anywhere" }}>{invitation.invited_by}</Td>
      <Td style={{ whiteSpace: "nowrap" }}>
        <Time at={invitation.expires_at} />
      </Td>
      <Actions>
        <RemoveButton
          label={`Revoke the invitation for ${invitation.email}`}
          hint="Revoke"
          icon={<IconMailX size={18} />}
          title={`Revoke the invitation for ${invitation.email}?`}
          action="Revoke"
          onConfirm={async () => {
            await server.DELETE("/api/invitations/{invitation}", {
              params: { path: { invitation: invitation.id } },
            });
            await reload();
          }}
        >
          Its link stops working.
        </RemoveButton>
      </Actions>
    </Tr>
  );
}

/** Ask for address and role, then say that the link was mailed, or show it, this once, if the server sends no mail. */
function InviteDialog({ onClose }: { onClose: () => void }) {
  const reload = useReload("/api/invitations");
  const [made, setMade] = useState<Schemas["InvitationMade"]>();
  const { values, bind } = useFields({ email: "", role: "editor" as Role });

  async function invite() {
    const { data } = await server.POST("/api/invitations", { body: values });
    setMade(data);
    void reload();
  }

  return (
    <Modal
      opened
      onClose={onClose}
      title={made === undefined ? "Invite a member" : "Invitation created"}
      centered
      // The link cannot be shown again, so a click outside must not close the dialog.
      closeOnClickOutside={false}
    >
      {made !== undefined ? (
        <Made made={made} onClose={onClose} />
      ) : (
        <DialogForm action="Invite" onClose={onClose} onSubmit={invite}>
          <TextInput label="Email" type="email" required data-autofocus autoComplete="off" {...bind("email")} />
          <Select label="Role" description={roleRights(values.role)} data={ROLE_CHOICES} {...bind("role")} />
        </DialogForm>
      )}
    </Modal>
  );
}

function Made({ made, onClose }: { made: Schemas["InvitationMade"]; onClose: () => void }) {
  return (
    <Stack>
      <Text size="sm" style={{ overflowWrap: "anywhere" }}>
        {whatToDo(made)}
      </Text>
      {made.link !== null && <Link link={made.link} />}
      <Group justify="flex-end">
        <Button onClick={onClose}>Done</Button>
      </Group>
    </Stack>
  );
}

function whatToDo({ email, link, mailed }: Schemas["InvitationMade"]): string {
  if (link !== null) {
    return `Send this link to ${email}. The link works once, within 72 hours, and is not shown again.`;
  }
  return mailed
    ? `An email with a link was sent to ${email}. The link works once, within 72 hours.`
    : `The email to ${email} could not be sent, and the server's log has the reason. Invite ${email} again after that.`;
}

function Link({ link }: { link: string }) {
  return (
    <Group align="flex-end" gap="xs" wrap="nowrap">
      <TextInput flex={1} label="Link" readOnly value={link} onFocus={(event) => event.currentTarget.select()} />
      <CopyButton value={link}>
        {({ copied, copy }) => (
          <Button
            variant="default"
            data-autofocus
            leftSection={copied ? <IconCheck size={16} aria-hidden /> : <IconCopy size={16} aria-hidden />}
            onClick={copy}
          >
            {copied ? "Copied" : "Copy"}
          </Button>
        )}
      </CopyButton>
    </Group>
  );
}

/** Rename this workspace, or create another. */
function Workspaces() {
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

  return (
    <Form onSubmit={() => rename.mutate({ params: { path: { workspace: workspace.id } }, body: { name } })}>
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
    </Form>
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

  return (
    <Form onSubmit={() => add.mutate({ body: { name } })}>
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
      <Quiet mt={4}>Each workspace has its own flows, runs, credentials and members. You become the owner.</Quiet>
      {add.error && <Refused error={add.error} />}
    </Form>
  );
}

type Member = Schemas["MemberOut"];

export default function Members() {
  const { may, user, workspace } = useSession();
  const [inviting, invite] = useDisclosure(false);
  const [creating, create] = useDisclosure(false);
  const { data, error, isPending, refetch } = api.useQuery("get", "/api/members");
  return (
    <Page
      title="Members"
      about={`Members of ${workspace.name} and their roles.`}
      actions={
        may("owner") && (
          <>
            {user.admin && (
              <Button variant="default" onClick={create.open}>
                Create account
              </Button>
            )}
            <Button icon={IconMailPlus} onClick={invite.open}>
              Invite a member
            </Button>
          </>
        )
      }
    >
      {isPending && <LoadingRows rows={3} />}
      {error && <Refused error={error} onRetry={() => void refetch()} />}
      {data && (
        <Card pad={false}>
          <Table label="Members" head={["Name", "Email", "Role", "Joined", ""]} minWidth={640}>
            {data.items.map((member) => (
              <MemberRow key={member.user_id} member={member} />
            ))}
          </Table>
        </Card>
      )}
      {may("owner") && <Invitations />}
      <Roles />
      <Workspaces />
      {inviting && <InviteDialog onClose={invite.close} />}
      {creating && <CreateAccount onClose={create.close} />}
    </Page>
  );
}

function MemberRow({ member }: { member: Member }) {
  const { may, user } = useSession();
  const isMe = member.user_id === user.id;
  return (
    <Tr>
      <Td>
        <Group gap="xs">
          <Text size="sm" fw={550} style={{ overflowWrap: "anywhere" }}>
            {member.name}
          </Text>
          {isMe && (
            <Badge size="sm" variant="light" tt="none">
              you
            </Badge>
          )}
        </Group>
      </Td>
      <Td style={{ overflowWrap: "anywhere" }}>{member.email}</Td>
      <Td>{may("owner") ? <RoleSelect member={member} /> : roleLabel(member.role)}</Td>
      <Td style={{ whiteSpace: "nowrap" }}>
        <Time at={member.created_at} />
      </Td>
      <Actions>
        {user.admin && !isMe && <Reset member={member} />}
        {may("owner") && <Remove member={member} />}
      </Actions>
    </Tr>
  );
}

function RoleSelect({ member }: { member: Member }) {
  const reload = useReload("/api/members");

  async function change(role: string | null) {
    if (role === null || role === member.role) return;
    try {
      await server.PATCH("/api/members", { body: { user_id: member.user_id, role: role as Role } });
      notify.done(`${member.name} now has the role ${roleLabel(role).toLowerCase()}`);
    } catch (error) {
      notify.refused("The role was not changed", error);
    } finally {
      void reload();
    }
  }

  return (
    <Select
      aria-label={`Role of ${member.name}`}
      size="xs"
      w={130}
      data={ROLE_CHOICES}
      value={member.role}
      onChange={(role) => void change(role)}
    />
  );
}

function Reset({ member }: { member: Member }) {
  const [opened, dialog] = useDisclosure(false);
  return (
    <>
      <IconButton label={`Reset the password of ${member.name}`} icon={IconKey} onClick={dialog.open} />
      {opened && <ResetPassword member={member} onClose={dialog.close} />}
    </>
  );
}

function Remove({ member }: { member: Member }) {
  const reload = useReload("/api/members");
  return (
    <RemoveButton
      label={`Remove ${member.name}`}
      icon={<IconUserMinus size={18} />}
      title={`Remove ${member.name} from the workspace?`}
      action="Remove"
      onConfirm={async () => {
        await server.DELETE("/api/members", { body: { user_id: member.user_id } });
        await reload();
      }}
    >
      Their API tokens for this workspace are revoked. Flows and other things they created stay.
    </RemoveButton>
  );
}

function Roles() {
  return (
    <Card title="Roles">
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
