/** The members of the workspace and their roles; the workspace's name, and other workspaces. */
import { ActionIcon, Badge, Button, Group, Select, Stack, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconKey, IconMailPlus, IconUserMinus } from "@tabler/icons-react";
import { api, type Schemas, server } from "@/api/client";
import { useReload } from "@/api/queries";
import { type Role, useSession } from "@/app/session";
import { RemoveButton } from "@/ui/ConfirmDialog";
import { notify } from "@/ui/notify";
import { Card, Page } from "@/ui/Page";
import { LoadingRows, Refused } from "@/ui/states";
import { Actions, Table, Td, Tr } from "@/ui/Table";
import { Time } from "@/ui/Time";
import { CreateAccount, ResetPassword } from "./Accounts";
import { Invitations, InviteDialog } from "./Invitations";
import { ROLE_CHOICES, roleLabel } from "./roles";
import { Workspaces } from "./Workspaces";

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
            <Button leftSection={<IconMailPlus size={16} aria-hidden />} onClick={invite.open}>
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
      allowDeselect={false}
      onChange={(role) => void change(role)}
    />
  );
}

function Reset({ member }: { member: Member }) {
  const [opened, dialog] = useDisclosure(false);
  return (
    <>
      <ActionIcon
        variant="subtle"
        color="gray"
        aria-label={`Reset the password of ${member.name}`}
        onClick={dialog.open}
      >
        <IconKey size={18} />
      </ActionIcon>
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
