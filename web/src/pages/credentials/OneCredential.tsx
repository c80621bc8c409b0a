/** One credential: its allowed hosts, and the flows and agents that use it. */
import { Alert, Button, Group, Modal, Stack, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { api } from "@/api/client";
import type { Credential, CredentialType, CredentialUse } from "@/api/credentials";
import { useSession } from "@/app/session";
import { ConnectionPanel } from "@/forms/credentials/Connection";
import { Loading, Refused } from "@/ui/states";
import { Time } from "@/ui/Time";
import type { Doing } from "./CredentialMenu";
import { whereTo } from "./credentials";
import { UserList } from "./UsedBy";

export type TypeOf = (type: string) => CredentialType | undefined;

interface OneCredentialProps {
  id: string;
  typeOf: TypeOf;
  onDo: (doing: Doing, credential: Credential) => void;
  onClose: () => void;
}

export function OneCredential({ id, typeOf, onDo, onClose }: OneCredentialProps) {
  const params = { params: { path: { credential: id } } };
  const { data, error, refetch } = api.useQuery("get", "/api/credentials/{credential}", params);
  return (
    <Modal
      opened
      onClose={onClose}
      title={data?.name ?? "Credential"}
      closeButtonProps={{ "aria-label": "Close" }}
      styles={{ title: { overflowWrap: "anywhere" } }}
    >
      {data === undefined &&
        (error ? (
          <Refused error={error} onRetry={() => void refetch()} />
        ) : (
          <Loading label="Loading the credential" />
        ))}
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
      <Text size="xs" c="var(--quiet)">
        {name}
      </Text>
      <Text size="sm" component="div" style={{ overflowWrap: "anywhere" }}>
        {children}
      </Text>
    </div>
  );
}
