/** The account of a credential: whether it is connected, and buttons to connect and disconnect it. */

import { Alert, Group, Loader, Stack, Text } from "@mantine/core";
import {
  IconAlertTriangle,
  IconCircleCheck,
  IconCircleDashed,
  IconPlugConnected,
  IconPlugConnectedX,
} from "@tabler/icons-react";
import { useState } from "react";
import { ACCOUNT, type Connecting, type Connection, needsConnection, useConnecting } from "@/api/accounts";
import { server } from "@/api/client";
import { type Credential, useCredentialsChanged } from "@/api/credentials";
import { useSession } from "@/app/session";
import { Button } from "@/ui/Button";
import { notify } from "@/ui/notify";
import { Quiet } from "@/ui/Quiet";
import { messageOf } from "@/ui/states";
import { Time } from "@/ui/Time";

const LOOKS = {
  connected: { label: "Connected", color: "var(--success)", Icon: IconCircleCheck },
  not_connected: { label: "Not connected", color: "var(--waiting)", Icon: IconCircleDashed },
  revoked: { label: "Connect again", color: "var(--failed)", Icon: IconPlugConnectedX },
  error: { label: "Problem", color: "var(--failed)", Icon: IconAlertTriangle },
} satisfies Record<Connection["status"], unknown>;

/** The status in a list: an icon and a word. */
export function ConnectionBadge({ connection }: { connection: Connection }) {
  const { label, color, Icon } = LOOKS[connection.status];
  return (
    <Group gap={4} wrap="nowrap" c={color}>
      <Icon size={16} aria-hidden />
      <Text size="xs" fw={600} inherit={false} c={color}>
        {label}
      </Text>
    </Group>
  );
}

function Facts({ connection }: { connection: Connection }) {
  const details = Object.entries(connection.details).map(([name, value]) => `${name}: ${String(value)}`);
  return (
    <>
      {connection.connected_at !== null && (
        <Quiet size="xs">
          Connected <Time at={connection.connected_at} />
          {connection.expires_at !== null && (
            <>
              ; access ends <Time at={connection.expires_at} />, then connect again
            </>
          )}
        </Quiet>
      )}
      {connection.scopes.length > 0 && (
        <Quiet size="xs" style={{ overflowWrap: "anywhere" }}>
          Permits: {connection.scopes.join(", ")}
        </Quiet>
      )}
      {details.length > 0 && (
        <Quiet size="xs" style={{ overflowWrap: "anywhere" }}>
          {details.join("; ")}
        </Quiet>
      )}
    </>
  );
}

const ADVICE = {
  revoked: "The service ended this connection. Flows that use it fail until you connect the account again.",
  error: "The service refuses to renew the access. Check the client ID and secret.",
};

interface ConnectionPanelProps {
  credential: Credential;
  /** The attempt of a credential that was just made. */
  begun?: Connecting;
}

export function ConnectionPanel({ credential, begun }: ConnectionPanelProps) {
  const { may } = useSession();
  const own = useConnecting(credential.id);
  const connecting = begun ?? own;
  const fresh = begun !== undefined;
  const changed = useCredentialsChanged();
  const [isEnding, setEnding] = useState(false);
  const { connection } = credential;
  if (connection === null) return null;
  const isAccount = credential.type === ACCOUNT;
  const isConnected = !needsConnection(credential);
  const { status } = connection;

  async function disconnect() {
    setEnding(true);
    try {
      await server.POST("/api/credentials/{credential}/disconnect", {
        params: { path: { credential: credential.id } },
      });
      notify.done(`The account of “${credential.name}” is disconnected`);
    } catch (error) {
      notify.refused("The account was not disconnected", error);
    }
    await changed();
    setEnding(false);
  }

  return (
    <Stack gap="xs">
      <Group gap="sm" role="status">
        <ConnectionBadge connection={connection} />
        {connecting.isWaiting && (
          <Group gap={6}>
            <Loader size="xs" />
            <Text size="sm">Waiting for your consent in the other window…</Text>
          </Group>
        )}
      </Group>
      {(status === "revoked" || status === "error") && (
        <Alert color="red" variant="light" p="xs">
          <Text size="sm">{ADVICE[status]}</Text>
          {connection.reason !== null && (
            <Text size="xs" mt={4} style={{ overflowWrap: "anywhere" }}>
              {connection.reason}
            </Text>
          )}
        </Alert>
      )}
      {connecting.problem !== null && (
        <Alert color="red" variant="light" p="xs" role="alert">
          {messageOf(connecting.problem)}
        </Alert>
      )}
      {!fresh && <Facts connection={connection} />}
      {isAccount && may("editor") && !(fresh && isConnected) && (
        <Group gap="xs">
          <Button
            size="sm"
            variant={isConnected ? "default" : "filled"}
            icon={IconPlugConnected}
            onClick={() => void connecting.start()}
          >
            {isConnected ? "Connect another account" : status === "revoked" ? "Connect again" : "Connect account"}
          </Button>
          {connecting.isWaiting && (
            <Button size="sm" variant="subtle" onClick={connecting.cancel}>
              Stop waiting
            </Button>
          )}
          {connection.status !== "not_connected" && !connecting.isWaiting && (
            <Button size="sm" variant="default" c="var(--failed)" loading={isEnding} onClick={() => void disconnect()}>
              Disconnect
            </Button>
          )}
        </Group>
      )}
    </Stack>
  );
}
