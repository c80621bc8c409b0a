/** API tokens, with which programs log in. The token itself is shown once, when it is created. */
import {
  ActionIcon,
  Alert,
  Button,
  Code,
  CopyButton,
  Group,
  Modal,
  NumberInput,
  Select,
  Stack,
  Text,
  TextInput,
} from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconCopy, IconPlus, IconTrash } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, type Schemas, server } from "@/api/client";
import { ROLES, type Role, useSession } from "@/app/session";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { Card, Page } from "@/ui/Page";
import { Empty, LoadingRows, Refused } from "@/ui/states";
import { Actions, Table, Td, Tr } from "@/ui/Table";
import { Time } from "@/ui/Time";
import { ROLE_CHOICES, roleLabel } from "./roles";

type Token = Schemas["TokenOut"];

function useReload() {
  const client = useQueryClient();
  return () => client.invalidateQueries({ queryKey: ["get", "/api/tokens"] });
}

export default function Tokens() {
  const [adding, dialog] = useDisclosure(false);
  const { data, error, isPending, refetch } = api.useQuery("get", "/api/tokens");
  return (
    <Page
      title="API tokens"
      about="Programs send a token in the header “Authorization: Bearer …”. A token works in this workspace only."
      actions={
        <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={dialog.open}>
          New token
        </Button>
      }
    >
      {isPending && <LoadingRows rows={3} />}
      {error && <Refused error={error} onRetry={() => void refetch()} />}
      {data?.items.length === 0 && (
        <Empty title="No API tokens yet" hint="Create one for a script, a CI job or an MCP client." />
      )}
      {data && data.items.length > 0 && (
        <Card pad={false}>
          <Table label="API tokens" head={["Name", "Role", "Owner", "Created", "Expires", ""]}>
            {data.items.map((token) => (
              <TokenRow key={token.id} token={token} />
            ))}
          </Table>
        </Card>
      )}
      {adding && <NewToken onClose={dialog.close} />}
    </Page>
  );
}

function TokenRow({ token }: { token: Token }) {
  const { user } = useSession();
  const { data: members } = api.useQuery("get", "/api/members");
  const reload = useReload();
  const [asked, asking] = useDisclosure(false);
  const owner = members?.items.find((member) => member.user_id === token.user_id)?.name ?? "–";
  return (
    <Tr>
      <Td fw={550} style={{ overflowWrap: "anywhere" }}>
        {token.name}
      </Td>
      <Td>{roleLabel(token.role)}</Td>
      <Td>{token.user_id === user.id ? "You" : owner}</Td>
      <Td>
        <Time at={token.created_at} />
      </Td>
      <Td>{token.expires_at ? <Time at={token.expires_at} /> : "Never"}</Td>
      <Actions>
        <ActionIcon variant="subtle" color="red" aria-label={`Revoke ${token.name}`} onClick={asking.open}>
          <IconTrash size={18} />
        </ActionIcon>
        <ConfirmDialog
          opened={asked}
          onClose={asking.close}
          title={`Revoke “${token.name}”?`}
          action="Revoke"
          danger
          onConfirm={async () => {
            await server.DELETE("/api/tokens/{token}", { params: { path: { token: token.id } } });
            await reload();
          }}
        >
          Programs that use it will be refused.
        </ConfirmDialog>
      </Actions>
    </Tr>
  );
}

function NewToken({ onClose }: { onClose: () => void }) {
  const { role: own } = useSession();
  const reload = useReload();
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>(own === "viewer" ? "viewer" : "operator");
  const [days, setDays] = useState<number | string>(90);
  const add = api.useMutation("post", "/api/tokens", { onSuccess: () => void reload() });
  const choices = ROLE_CHOICES.filter(({ value }) => ROLES.indexOf(value) <= ROLES.indexOf(own));

  function submit(event: FormEvent) {
    event.preventDefault();
    add.mutate({ body: { name, role, days: typeof days === "number" ? days : null } });
  }

  return (
    <Modal
      opened
      onClose={onClose}
      title="New API token"
      centered
      closeButtonProps={{ "aria-label": "Close" }}
    >
      {add.data ? (
        <MadeToken token={add.data} onClose={onClose} />
      ) : (
        <form onSubmit={submit}>
          <Stack>
            <TextInput
              label="Name"
              description="For example the program that uses it"
              required
              data-autofocus
              value={name}
              onChange={(event) => setName(event.currentTarget.value)}
            />
            <Select
              label="Role"
              description="Your own role or a lower one"
              data={choices.map(({ value, label }) => ({ value, label }))}
              value={role}
              allowDeselect={false}
              onChange={(next) => next !== null && setRole(next as Role)}
            />
            <NumberInput
              label="Expires after (days)"
              description="Leave empty for no expiry"
              min={1}
              max={3650}
              allowDecimal={false}
              value={days}
              onChange={setDays}
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
      )}
    </Modal>
  );
}

function MadeToken({ token, onClose }: { token: Token; onClose: () => void }) {
  return (
    <Stack>
      <Alert color="orange" title="Copy the token now">
        It is shown only once. The server stores only a hash of it.
      </Alert>
      <Code block style={{ overflowWrap: "anywhere", whiteSpace: "pre-wrap" }}>
        {token.token}
      </Code>
      <Group justify="space-between">
        <CopyButton value={token.token ?? ""}>
          {({ copied, copy }) => (
            <Button variant="default" leftSection={<IconCopy size={16} aria-hidden />} onClick={copy}>
              {copied ? "Copied" : "Copy"}
            </Button>
          )}
        </CopyButton>
        <Button onClick={onClose}>Done</Button>
      </Group>
      <Text size="sm" c="var(--quiet)">
        Try it: <Code>curl -H "Authorization: Bearer …" {window.location.origin}/api/flows</Code>
      </Text>
    </Stack>
  );
}
