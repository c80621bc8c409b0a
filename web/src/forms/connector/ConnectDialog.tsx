/** Create a credential for a service: the way to authenticate, then only the values that it needs. */

import { Alert, Anchor, Button, Group, Modal, Radio, Stack, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import type { Auth, Connector } from "@/api/connectors";
import { type Credential, type CredentialType, useCredentials, useCredentialTypes } from "@/api/credentials";
import type { Json } from "@/definition/types";
import { Quiet } from "@/ui/Quiet";
import { Loading, Refused } from "@/ui/states";
import { CredentialMaking } from "../credentials/CredentialDialog";
import { hostIn } from "../credentials/hosts";
import { Words } from "../fields/FieldFrame";
import type { FieldSchema } from "../schema/types";

// The ways to authenticate with a service: the initial values of a new credential, and the fields to fill in; pure.

type Data = Record<string, Json>;

const TITLES: Record<string, string> = {
  oauth2: "Connect an account",
  google_service_account: "Service account",
  http_bearer: "Access token",
  http_header: "API key",
  http_headers: "API keys",
  http_query: "API key",
  http_basic: "User name and password",
  secret: "API key",
};

/** Return the name of a way, such as "Bot token". */
export function titleOfWay(way: Auth, types: readonly CredentialType[]): string {
  return way.title ?? TITLES[way.type] ?? types.find((one) => one.type === way.type)?.name ?? way.type;
}

/** Return the values that are known in advance. `scopes` are the permissions that the operation needs besides. */
export function presetOf(way: Auth, scopes: readonly string[] = []): Data {
  if (way.type === "http_header" && way.header !== undefined) return { name: way.header };
  const pairs = Object.fromEntries((way.names ?? []).map((name) => [name, ""]));
  if (way.type === "http_headers") return { headers: pairs };
  if (way.type === "http_query") return { parameters: pairs };
  const data: Data = {};
  if (way.provider !== undefined) data.provider = way.provider;
  if (way.scopes !== undefined) data.scope = neededScopes(way, scopes).join(" ");
  return data;
}

/** Return the permissions of the connector, and those of the operation. */
export function neededScopes(way: Auth, scopes: readonly string[]): string[] {
  return [...new Set([...(way.scopes ?? []), ...scopes])];
}

/** Return the type with the way's own titles, without fields that are known. */
export function typeFor(way: Auth, type: CredentialType): CredentialType {
  const schema = type.schema as FieldSchema;
  const hidden = way.type === "http_header" && way.header !== undefined ? ["name"] : [];
  const own: Record<string, { title?: string; help?: string } | undefined> = {
    username: way.username,
    password: way.password,
  };
  const properties = Object.entries(schema.properties ?? {})
    .filter(([key]) => !hidden.includes(key))
    .map(([key, one]) => {
      const { title = one.title, help = one.description } = own[key] ?? {};
      // The help of the way says more than "The bearer token".
      return [key, { ...one, title, description: own[key] === undefined ? one.description : (help ?? "") }];
    });
  const required = schema.required?.filter((key) => !hidden.includes(key));
  return { ...type, schema: { ...schema, properties: Object.fromEntries(properties), required } };
}

/** Return the first free name: "Slack", "Slack 2". */
export function freeName(name: string, taken: readonly string[]): string {
  for (let number = 1; ; number += 1) {
    const wanted = number === 1 ? name : `${name} ${number}`;
    if (!taken.includes(wanted)) return wanted;
  }
}

interface ConnectDialogProps {
  connector: Connector;
  /** Permissions that the node needs, besides those of the connector. */
  scopes: readonly string[];
  /** The types that the operation accepts. */
  only: readonly string[];
  suggestedName: string;
  onClose: () => void;
  onDone: (made: Credential) => void;
}

export default function ConnectDialog(props: ConnectDialogProps) {
  const { connector, onClose } = props;
  const { types, error, retry } = useCredentialTypes();
  const { data: credentials } = useCredentials();
  return (
    <Modal opened onClose={onClose} title={`Connect ${connector.service.name}`} size="lg" closeOnClickOutside={false}>
      {types === undefined || credentials === undefined ? (
        error ? (
          <Refused error={error} onRetry={retry} />
        ) : (
          <Loading label="Loading" />
        )
      ) : (
        <Connecting {...props} types={types.types} taken={credentials.map((one) => one.name)} />
      )}
    </Modal>
  );
}

interface ConnectingProps extends ConnectDialogProps {
  types: readonly CredentialType[];
  taken: readonly string[];
}

function Connecting({ connector, scopes, only, suggestedName, types, taken, onClose, onDone }: ConnectingProps) {
  const ways = connector.auth.filter((way) => only.length === 0 || only.includes(way.type));
  const [at, setAt] = useState(0);
  // An account is saved before it is connected: then nothing else can be chosen.
  const [isSaved, setSaved] = useState(false);
  // Kept: the list of names changes while the dialog is open.
  const [name] = useState(() => suggestedName || freeName(connector.service.name, taken));
  const way = ways[at];
  const type = types.find((one) => one.type === way?.type);
  return (
    <Stack>
      {ways.length > 1 && !isSaved && (
        <Radio.Group
          label={`How to connect ${connector.service.name}`}
          value={String(at)}
          onChange={(next) => setAt(Number(next))}
        >
          <Stack gap={6} mt={6}>
            {ways.map((one, index) => (
              <Radio
                // biome-ignore lint/suspicious/noArrayIndexKey: the ways of a connector never move
                key={index}
                value={String(index)}
                label={titleOfWay(one, types)}
              />
            ))}
          </Stack>
        </Radio.Group>
      )}
      {way !== undefined && !isSaved && <Help way={way} service={connector.service.name} />}
      {way !== undefined && type !== undefined ? (
        <CredentialMaking
          key={at}
          types={[typeFor(way, type)]}
          suggestedName={name}
          suggested={{ type: way.type, data: presetOf(way, scopes), hosts: way.hosts ?? [] }}
          drawHosts={(hosts, onChange) => hasHosts(way) && <HostField way={way} hosts={hosts} onChange={onChange} />}
          service={{ ...connector.service, scopes: neededScopes(way, scopes), apis: connector.apis }}
          onClose={onClose}
          onDone={(made) => {
            setSaved(true);
            onDone(made);
          }}
        />
      ) : (
        <Missing type={way?.type} onClose={onClose} />
      )}
    </Stack>
  );
}

function Help({ way, service }: { way: Auth; service: string }) {
  if (way.help === undefined && way.link === undefined) return null;
  return (
    <Text size="sm">
      {way.help !== undefined && <Words text={way.help} />}{" "}
      {way.link !== undefined && (
        <Anchor href={way.link} target="_blank" rel="noopener noreferrer" size="sm" underline="always">
          Open {hostIn(way.link) || service} to get it
        </Anchor>
      )}
    </Text>
  );
}

function Missing({ type, onClose }: { type: string | undefined; onClose: () => void }) {
  return (
    <>
      <Alert color="yellow" variant="light" p="xs">
        {type === undefined
          ? "This operation supports none of the ways to connect. Choose another operation."
          : `This server has no credential type named ${type}.`}
      </Alert>
      <Group justify="flex-end">
        <Button variant="default" onClick={onClose}>
          Close
        </Button>
      </Group>
    </>
  );
}

/** Return true if the hosts are known or asked for in the words of the way; undefined for the usual field. */
function hasHosts(way: Auth): true | undefined {
  // Those of an account are the provider's.
  return way.host !== undefined || way.hosts !== undefined || way.type === "oauth2" || undefined;
}

interface HostFieldProps {
  way: Auth;
  hosts: string[];
  onChange: (hosts: string[]) => void;
}

/** The user's own address of the service, or the hosts of the service, which need no change. */
function HostField({ way, hosts, onChange }: HostFieldProps) {
  if (way.host !== undefined) {
    return (
      <TextInput
        label={way.host.title}
        description="The host of your own account, without https://"
        placeholder={way.host.example}
        required
        autoComplete="off"
        spellCheck={false}
        value={hosts[0] ?? ""}
        onChange={(event) => {
          const host = hostIn(event.currentTarget.value).replace(/\/.*$/, "");
          onChange(host === "" ? [] : [host]);
        }}
      />
    );
  }
  if (hosts.length === 0) return null;
  return <Quiet>Sent only to {hosts.join(", ")}.</Quiet>;
}
