/**
 * The invitations of a workspace, for owners: the list of pending ones, and a dialog that creates one with its link.
 */
import { Button, CopyButton, Group, Modal, Select, Stack, Text, TextInput } from "@mantine/core";
import { IconCheck, IconCopy, IconMailX } from "@tabler/icons-react";
import { useState } from "react";
import { api, type Schemas, server } from "@/api/client";
import { useReload } from "@/api/queries";
import type { Role } from "@/app/session";
import { RemoveButton } from "@/ui/ConfirmDialog";
import { DialogForm } from "@/ui/FormDialog";
import { Card } from "@/ui/Page";
import { LoadingRows, Refused } from "@/ui/states";
import { Actions, Table, Td, Tr } from "@/ui/Table";
import { Time } from "@/ui/Time";
import { useFields } from "@/ui/useForm";
import { ROLE_CHOICES, roleLabel, roleRights } from "./roles";

type Invitation = Schemas["InvitationOut"];

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
export function InviteDialog({ onClose }: { onClose: () => void }) {
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
          <TextInput
            label="Email"
            type="email"
            required
            data-autofocus
            autoComplete="off"
            {...bind("email")}
          />
          <Select
            label="Role"
            description={roleRights(values.role)}
            data={ROLE_CHOICES}
            allowDeselect={false}
            {...bind("role")}
          />
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
