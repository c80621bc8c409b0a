/** API tokens, with which programs log in. The token itself is shown once, when it is created. */

import { Alert, Code, CopyButton, Group, Modal, NumberInput, Select, Stack, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconCopy, IconPlus } from "@tabler/icons-react";
import { useState } from "react";
import { api, type Schemas, server } from "@/api/client";
import { useReload } from "@/api/queries";
import { ROLES, type Role, useSession } from "@/app/session";
import { Button } from "@/ui/Button";
import { RemoveButton } from "@/ui/ConfirmDialog";
import { DialogForm } from "@/ui/FormDialog";
import { useFields } from "@/ui/form";
import { Card, Page } from "@/ui/Page";
import { Quiet } from "@/ui/Quiet";
import { Empty, LoadingRows, Refused } from "@/ui/states";
import { Actions, Table, Td, Tr } from "@/ui/Table";
import { Time } from "@/ui/Time";

import { ROLE_CHOICES, roleLabel } from "./roles";

type Token = Schemas["TokenOut"];

export default function Tokens() {
  const [adding, dialog] = useDisclosure(false);
  const { data, error, isPending, refetch } = api.useQuery("get", "/api/tokens");
  return (
    <Page
      title="API tokens"
      about="Programs send a token in the header “Authorization: Bearer …”. A token works in this workspace only."
      actions={
        <Button icon={IconPlus} onClick={dialog.open}>
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
  const reload = useReload("/api/tokens");
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
        <RemoveButton
          label={`Revoke ${token.name}`}
          title={`Revoke “${token.name}”?`}
          action="Revoke"
          onConfirm={async () => {
            await server.DELETE("/api/tokens/{token}", { params: { path: { token: token.id } } });
            await reload();
          }}
        >
          Programs that use it will be refused.
        </RemoveButton>
      </Actions>
    </Tr>
  );
}

function NewToken({ onClose }: { onClose: () => void }) {
  const { role: own } = useSession();
  const reload = useReload("/api/tokens");
  const [made, setMade] = useState<Token>();
  const { values, bind } = useFields({
    name: "",
    role: (own === "viewer" ? "viewer" : "operator") as Role,
    days: 90 as number | string,
  });

  async function create() {
    const days = typeof values.days === "number" ? values.days : null;
    const { data } = await server.POST("/api/tokens", { body: { ...values, days } });
    setMade(data);
    void reload();
  }

  return (
    <Modal opened onClose={onClose} title="New API token" centered>
      {made ? (
        <MadeToken token={made} onClose={onClose} />
      ) : (
        <DialogForm action="Create" onClose={onClose} onSubmit={create}>
          <TextInput
            label="Name"
            description="For example the program that uses it"
            required
            data-autofocus
            {...bind("name")}
          />
          <Select
            label="Role"
            description="Your own role or a lower one"
            data={ROLE_CHOICES.slice(0, ROLES.indexOf(own) + 1)}
            {...bind("role")}
          />
          <NumberInput
            label="Expires after (days)"
            description="Leave empty for no expiry"
            min={1}
            max={3650}
            allowDecimal={false}
            {...bind("days")}
          />
        </DialogForm>
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
            <Button variant="default" icon={IconCopy} onClick={copy}>
              {copied ? "Copied" : "Copy"}
            </Button>
          )}
        </CopyButton>
        <Button onClick={onClose}>Done</Button>
      </Group>
      <Quiet>
        Try it: <Code>curl -H "Authorization: Bearer …" {window.location.origin}/api/flows</Code>
      </Quiet>
    </Stack>
  );
}
