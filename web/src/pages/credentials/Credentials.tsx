/** The workspace's credentials: names, types and hosts. The server never returns their values. */

import { Anchor, Button, Group, Text } from "@mantine/core";
import { IconKey, IconPlus } from "@tabler/icons-react";
import { Suspense, useState } from "react";
import {
  type Credential,
  type CredentialUse,
  hostsOf,
  useCredentialsInUse,
  useCredentialTypes,
} from "@/api/credentials";
import { useSession } from "@/app/session";
import { ConnectionBadge } from "@/forms/credentials/Connection";
import { lazily } from "@/ui/lazily";
import { notify } from "@/ui/notify";
import { Card, Page } from "@/ui/Page";
import { SearchInput } from "@/ui/SearchInput";
import { Empty, Loading, LoadingRows, Refused } from "@/ui/states";
import { Actions, Table, Td, Tr } from "@/ui/Table";
import { Time } from "@/ui/Time";
import { useQueryState } from "@/ui/useQueryState";
import { CredentialMenu, type Doing } from "./CredentialMenu";
import { whereTo } from "./credentials";
import classes from "./credentials.module.css";
import { DeleteDialog } from "./DeleteDialog";
import { OneCredential, type TypeOf } from "./OneCredential";
import { countInWords } from "./UsedBy";

const CredentialDialog = lazily(async () => {
  const { CredentialDialog: Dialog } = await import("@/forms/credentials/CredentialDialog");
  return { default: Dialog };
});
const EditDialog = lazily(() => import("@/forms/credentials/EditDialog"));
const TestDialog = lazily(() => import("./TestDialog"));

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
    <Table
      label="Credentials"
      head={["Name", "Type", "Used by", "Allowed hosts", "Changed", ""]}
      minWidth={700}
    >
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
            {credential.connection !== null && <ConnectionBadge connection={credential.connection} />}
          </Td>
          <Td className={classes.type}>{typeOf(credential.type)?.name ?? credential.type}</Td>
          <Td className={classes.used}>
            {credential.used_by_count === 0 ? (
              <Text size="sm" c="var(--quiet)">
                Not used
              </Text>
            ) : (
              <Anchor
                component="button"
                type="button"
                size="sm"
                ta="start"
                onClick={() => onOpen(credential.id)}
              >
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
    <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={() => setMaking(true)}>
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
            <Empty
              title="No matching credentials"
              hint={`No credential has “${values.search}” in its name or type.`}
            />
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
