/**
 * The invitations of a workspace, for owners: the list of pending ones, and a dialog that creates one with its link.
 */
import {
  ActionIcon,
  Button,
  CopyButton,
  Group,
  Modal,
  Select,
  Stack,
  Text,
  TextInput,
  Tooltip,
} from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconCheck, IconCopy, IconMailX } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, type Schemas, server } from "@/api/client";
import type { Role } from "@/app/session";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { Card } from "@/ui/Page";
import { LoadingRows, Refused } from "@/ui/states";
import { Actions, Table, Td, Tr } from "@/ui/Table";
import { Time } from "@/ui/Time";
import { ROLE_CHOICES, roleLabel, roleRights } from "./roles";

type Invitation = Schemas["InvitationOut"];

function useReload() {
  const client = useQueryClient();
  return () => client.invalidateQueries({ queryKey: ["get", "/api/invitations"] });
}

export function Invitations() {
  const { data, error, isPending, refetch } = api.useQuery("get", "/api/invitations");
  const items = data?.items ?? [];
  return (
    <Card title="Pending invitations" pad={items.length === 0}>
      {isPending && <LoadingRows rows={1} />}
      {error && <Refused error={error} onRetry={() => void refetch()} />}
      {data && items.length === 0 && (
        <Text size="sm" c="var(--quiet)">
          No pending invitations. An invitation is a link that works once, within 72 hours.
        </Text>
      )}
      {items.length > 0 && (
        <Table
          label="Pending invitations"
          head={["Email", "Role", "Invited by", "Expires", ""]}
          minWidth={640}
        >
          {items.map((invitation) => (
            <Row key={invitation.id} invitation={invitation} />
          ))}
        </Table>
      )}
    </Card>
  );
}

function Row({ invitation }: { invitation: Invitation }) {
  const reload = useReload();
  const [asked, asking] = useDisclosure(false);
  return (
    <Tr>
      <Td style={{ overflowWrap: "anywhere" }}>{invitation.email}</Td>
      <Td>{roleLabel(invitation.role)}</Td>
      <Td style={{ overflowWrap: "anywhere" }}>{invitation.invited_by}</Td>
      <Td style={{ whiteSpace: "nowrap" }}>
        <Time at={invitation.expires_at} />
      </Td>
      <Actions>
        <Tooltip label="Revoke">
          <ActionIcon
            variant="subtle"
            color="red"
            aria-label={`Revoke the invitation for ${invitation.email}`}
            onClick={asking.open}
          >
            <IconMailX size={18} />
          </ActionIcon>
        </Tooltip>
        <ConfirmDialog
          opened={asked}
          onClose={asking.close}
          title={`Revoke the invitation for ${invitation.email}?`}
          action="Revoke"
          danger
          onConfirm={async () => {
            await server.DELETE("/api/invitations/{invitation}", {
              params: { path: { invitation: invitation.id } },
            });
            await reload();
          }}
        >
          Its link stops working.
        </ConfirmDialog>
      </Actions>
    </Tr>
  );
}

/** Ask for address and role, then say that the link was mailed, or show it, this once, if the server sends no mail. */
export function InviteDialog({ onClose }: { onClose: () => void }) {
  const reload = useReload();
  const [email, setEmail] = useState("");
  const [role, setRole] = useState<Role>("editor");
  const invite = api.useMutation("post", "/api/invitations", { onSuccess: () => void reload() });

  function submit(event: FormEvent) {
    event.preventDefault();
    invite.mutate({ body: { email, role } });
  }

  return (
    <Modal
      opened
      onClose={onClose}
      title={invite.data === undefined ? "Invite a member" : "Invitation created"}
      centered
      // The link cannot be shown again, so a click outside must not close the dialog.
      closeOnClickOutside={false}
    >
      {invite.data !== undefined ? (
        <Made made={invite.data} onClose={onClose} />
      ) : (
        <form onSubmit={submit}>
          <Stack>
            <TextInput
              label="Email"
              type="email"
              required
              data-autofocus
              autoComplete="off"
              value={email}
              onChange={(event) => setEmail(event.currentTarget.value)}
            />
            <Select
              label="Role"
              description={roleRights(role)}
              data={ROLE_CHOICES.map(({ value, label }) => ({ value, label }))}
              value={role}
              allowDeselect={false}
              onChange={(next) => next !== null && setRole(next as Role)}
            />
            {invite.error && <Refused error={invite.error} />}
            <Group justify="flex-end">
              <Button variant="default" onClick={onClose}>
                Cancel
              </Button>
              <Button type="submit" loading={invite.isPending}>
                Invite
              </Button>
            </Group>
          </Stack>
        </form>
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
      <TextInput
        flex={1}
        label="Link"
        readOnly
        value={link}
        onFocus={(event) => event.currentTarget.select()}
      />
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
