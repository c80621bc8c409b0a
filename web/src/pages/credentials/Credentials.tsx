/** The workspace's credentials: names, types and hosts. The server never returns their values. */

import { Alert, Anchor, Group, Modal, Stack, Text } from "@mantine/core";
import { IconKey, IconPencil, IconPlugConnected, IconPlus, IconTrash } from "@tabler/icons-react";
import { type ReactNode, Suspense, useState } from "react";
import { api, server } from "@/api/client";
import {
  type Credential,
  type CredentialType,
  type CredentialUse,
  hostsOf,
  useCredentialsChanged,
  useCredentialsInUse,
  useCredentialTypes,
} from "@/api/credentials";
import { useSession } from "@/app/session";
import { ConnectionBadge, ConnectionPanel } from "@/forms/credentials/Connection";
import { Button } from "@/ui/Button";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { lazily } from "@/ui/lazily";
import { useQueryState } from "@/ui/listState";
import { DotsMenu, MenuItem } from "@/ui/MenuItem";
import { notify } from "@/ui/notify";
import { Card, Page } from "@/ui/Page";
import { Quiet } from "@/ui/Quiet";
import { SearchInput } from "@/ui/SearchInput";
import { Empty, Loading, LoadingRows, messageOf, Refused } from "@/ui/states";
import { Actions, Table, Td, Tr } from "@/ui/Table";
import { Time } from "@/ui/Time";
import classes from "./credentials.module.css";
import { activeUsers, countInWords, UserList } from "./UsedBy";

/** Return a text for the hosts that a credential may be sent to. */
function whereTo(credential: Credential, type: CredentialType | undefined): string {
  if (hostsOf(credential) === null && credential.connection) return "The hosts of its service";
  const hosts = hostsOf(credential) ?? (type?.needs_hosts ? [] : null);
  if (hosts === null) return "The host in its values";
  return hosts.length === 0 ? "None: nodes cannot send it" : hosts.join(", ");
}

type Doing = "edit" | "test" | "delete";

interface CredentialMenuProps {
  credential: Credential;
  onDo: (doing: Doing, credential: Credential) => void;
}

function CredentialMenu({ credential, onDo }: CredentialMenuProps) {
  return (
    <DotsMenu button={{ label: `Actions for ${credential.name}` }}>
      <MenuItem icon={IconPlugConnected} onClick={() => onDo("test", credential)}>
        Test
      </MenuItem>
      <MenuItem icon={IconPencil} onClick={() => onDo("edit", credential)}>
        Edit
      </MenuItem>
      <MenuItem c="var(--failed)" icon={IconTrash} onClick={() => onDo("delete", credential)}>
        Delete
      </MenuItem>
    </DotsMenu>
  );
}

/** Ask for confirmation and list the flows and agents that use it. The server refuses if an active flow uses it. */
function DeleteDialog({ credential, onClose }: { credential: Credential; onClose: () => void }) {
  const changed = useCredentialsChanged();
  const [isDeleted, setDeleted] = useState(false);
  async function remove() {
    await server.DELETE("/api/credentials/{credential}", { params: { path: { credential: credential.id } } });
    // What uses it is asked for no more: there is nothing to ask for.
    setDeleted(true);
    await changed();
    notify.done(`Credential “${credential.name}” deleted`);
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
      <Stack gap="sm">
        <Text size="sm">Its values cannot be restored.</Text>
        {!isDeleted && <WhoLosesIt id={credential.id} />}
      </Stack>
    </ConfirmDialog>
  );
}

function WhoLosesIt({ id }: { id: string }) {
  const params = { params: { path: { credential: id } } };
  const { data, error } = api.useQuery("get", "/api/credentials/{credential}", params, { gcTime: 0 });
  if (error) return <Text size="sm">Could not find out what uses it: {messageOf(error)}</Text>;
  if (data === undefined) return <Loading label="Looking for what uses it" />;
  if (data.used_by_count === 0) return <Text size="sm">No flow or agent uses it.</Text>;
  const isKept = activeUsers(data).length > 0;
  return (
    <div>
      <Text size="sm" fw={600}>
        Used by {countInWords(data)}
      </Text>
      <UserList credential={data} />
      <Text size="sm" mt="xs">
        {isKept
          ? "You cannot delete it while an active flow uses it. Deactivate the flow, or choose another credential in it."
          : "They will fail until you choose another credential in them."}
      </Text>
    </div>
  );
}

// One credential: its allowed hosts, and the flows and agents that use it.

type TypeOf = (type: string) => CredentialType | undefined;

interface OneCredentialProps {
  id: string;
  typeOf: TypeOf;
  onDo: (doing: Doing, credential: Credential) => void;
  onClose: () => void;
}

function OneCredential({ id, typeOf, onDo, onClose }: OneCredentialProps) {
  const params = { params: { path: { credential: id } } };
  const { data, error, refetch } = api.useQuery("get", "/api/credentials/{credential}", params);
  return (
    <Modal opened onClose={onClose} title={data?.name ?? "Credential"} styles={{ title: { overflowWrap: "anywhere" } }}>
      {data === undefined &&
        (error ? <Refused error={error} onRetry={() => void refetch()} /> : <Loading label="Loading the credential" />)}
      {data !== undefined && <Facts credential={data} typeOf={typeOf} onDo={onDo} />}
    </Modal>
  );
}

interface FactsProps extends Pick<OneCredentialProps, "typeOf" | "onDo"> {
  credential: CredentialUse;
}

function Facts({ credential, typeOf, onDo }: FactsProps) {
  const { may } = useSession();
  return (
    <Stack>
      <Fact name="Type">{typeOf(credential.type)?.name ?? credential.type}</Fact>
      {credential.connection !== null && (
        <Fact name="Account">
          <ConnectionPanel credential={credential} />
        </Fact>
      )}
      <Fact name="Allowed hosts">{whereTo(credential, typeOf(credential.type))}</Fact>
      <Fact name="Changed">
        <Time at={credential.updated_at} />
      </Fact>
      <Fact name="Used by">
        {credential.used_by_count === 0 ? "No flow or agent uses it." : <UserList credential={credential} />}
      </Fact>
      {may("editor") ? (
        <Group justify="flex-end" gap="xs">
          <Button variant="default" c="var(--failed)" onClick={() => onDo("delete", credential)}>
            Delete
          </Button>
          <Button variant="default" onClick={() => onDo("edit", credential)}>
            Edit
          </Button>
          <Button onClick={() => onDo("test", credential)}>Test</Button>
        </Group>
      ) : (
        <Alert color="gray" variant="light">
          Editing and testing credentials requires the editor role.
        </Alert>
      )}
    </Stack>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <Quiet size="xs">{name}</Quiet>
      <Text size="sm" component="div" style={{ overflowWrap: "anywhere" }}>
        {children}
      </Text>
    </div>
  );
}

const CredentialDialog = lazily(async () => {
  const { CredentialDialog: Dialog } = await import("@/forms/credentials/CredentialDialog");
  return { default: Dialog };
});
const EditDialog = lazily(() => import("@/forms/credentials/EditDialog"));
const TestDialog = lazily(() => import("@/forms/credentials/Trial"));

/** `credential`: the id of the open credential. */
const FILTERS = { search: "", credential: "" };
const ABOUT = "Secrets that flows use. Saved values are encrypted and never shown again.";

interface ListProps {
  credentials: CredentialUse[];
  typeOf: TypeOf;
  onOpen: (id: string) => void;
  onDo: (doing: Doing, credential: Credential) => void;
}

function List({ credentials, typeOf, onOpen, onDo }: ListProps) {
  const { may } = useSession();
  const mayChange = may("editor");
  return (
    <Table label="Credentials" head={["Name", "Used by", "Allowed hosts", "Changed", ""]} minWidth={600}>
      {credentials.map((credential) => (
        <Tr key={credential.id} className={classes.row}>
          <Td className={classes.name}>
            <Anchor
              component="button"
              type="button"
              size="sm"
              fw={600}
              ta="start"
              lineClamp={2}
              title={credential.name}
              onClick={() => onOpen(credential.id)}
            >
              {credential.name}
            </Anchor>
            <Quiet size="xs">{typeOf(credential.type)?.name ?? credential.type}</Quiet>
            {credential.connection !== null && <ConnectionBadge connection={credential.connection} />}
          </Td>
          <Td className={classes.used}>
            {credential.used_by_count === 0 ? (
              <Quiet>Not used</Quiet>
            ) : (
              <Anchor component="button" type="button" size="sm" ta="start" onClick={() => onOpen(credential.id)}>
                {countInWords(credential)}
              </Anchor>
            )}
          </Td>
          <Td>
            <Text size="sm" lineClamp={2} c={hostsOf(credential) === null ? "var(--quiet)" : undefined}>
              {whereTo(credential, typeOf(credential.type))}
            </Text>
          </Td>
          <Td className={classes.changed}>
            <Time at={credential.updated_at} />
          </Td>
          <Actions>{mayChange && <CredentialMenu credential={credential} onDo={onDo} />}</Actions>
        </Tr>
      ))}
    </Table>
  );
}

interface Open {
  doing: Doing;
  credential: Credential;
}

function Dialogs({ open, onClose }: { open: Open | null; onClose: () => void }) {
  if (open === null) return null;
  const { doing, credential } = open;
  return (
    <Suspense fallback={<Loading label="Opening" />}>
      {doing === "edit" && <EditDialog credential={credential} onClose={onClose} />}
      {doing === "test" && <TestDialog credential={credential} onClose={onClose} />}
      {doing === "delete" && <DeleteDialog credential={credential} onClose={onClose} />}
    </Suspense>
  );
}

export default function Credentials() {
  const { may } = useSession();
  const { data, error, refetch } = useCredentialsInUse();
  const { types } = useCredentialTypes();
  const { values, change } = useQueryState(FILTERS);
  const [isMaking, setMaking] = useState(false);
  const [open, setOpen] = useState<Open | null>(null);
  const typeOf: TypeOf = (type) => types?.find(type);
  const wanted = values.search.toLowerCase();
  const shown = data?.filter((one) =>
    `${one.name} ${typeOf(one.type)?.name ?? one.type}`.toLowerCase().includes(wanted),
  );
  const make = may("editor") && (
    <Button icon={IconPlus} onClick={() => setMaking(true)}>
      New credential
    </Button>
  );

  return (
    <Page title="Credentials" about={ABOUT} docs="credentials" actions={data?.length ? make : undefined}>
      {error !== null && data === undefined && <Refused error={error} onRetry={() => void refetch()} />}
      {data === undefined && error === null && <LoadingRows />}
      {data?.length === 0 && (
        <Empty
          title="No credentials yet"
          hint="Flows use credentials to log in to other services: a token, a password, a database URL."
          icon={<IconKey size={40} stroke={1.4} aria-hidden />}
          action={make}
        />
      )}
      {data !== undefined && data.length > 0 && (
        <>
          <Group>
            <SearchInput
              value={values.search}
              onChange={(search) => change({ search }, { replace: true })}
              label="Search credentials"
            />
          </Group>
          {shown?.length === 0 ? (
            <Empty title="No matching credentials" hint={`No credential has “${values.search}” in its name or type.`} />
          ) : (
            <Card pad={false}>
              <List
                credentials={shown ?? []}
                typeOf={typeOf}
                onOpen={(credential) => change({ credential })}
                onDo={(doing, credential) => setOpen({ doing, credential })}
              />
            </Card>
          )}
        </>
      )}
      {isMaking && (
        <Suspense fallback={<Loading label="Opening" />}>
          <CredentialDialog
            onClose={() => setMaking(false)}
            onDone={(made) => notify.done(`Credential “${made.name}” created`)}
          />
        </Suspense>
      )}
      {values.credential !== "" && (
        <OneCredential
          id={values.credential}
          typeOf={typeOf}
          onDo={(doing, credential) => {
            change({ credential: "" }, { replace: true });
            setOpen({ doing, credential });
          }}
          onClose={() => change({ credential: "" })}
        />
      )}
      <Dialogs open={open} onClose={() => setOpen(null)} />
    </Page>
  );
}
