/** The values of an OAuth2 account: the service, how its client is made, and what flows may do in the account. */

import {
  Alert,
  Anchor,
  Box,
  Button,
  Checkbox,
  Collapse,
  Group,
  Paper,
  Select,
  Stack,
  TagsInput,
  Text,
  TextInput,
} from "@mantine/core";
import type { ErrorSchema } from "@rjsf/utils";
import { IconChevronDown, IconExternalLink } from "@tabler/icons-react";
import { type ReactNode, useMemo, useState } from "react";
import { CUSTOM, type Provider, useProviders } from "@/api/accounts";
import type { Json } from "@/definition/types";
import { CopyIcon } from "@/ui/IconButton";
import { Quiet } from "@/ui/Quiet";
import { Loading, Refused } from "@/ui/states";
import { SchemaForm } from "../SchemaForm";
import type { Service } from "./CredentialForm";
import { chosenScopes, pick, prefill, ready, withoutPrefill } from "./hosts";

type Data = Record<string, Json>;

const CLIENT = ["client_id", "client_secret"];
const ADDRESSES = ["authorization_url", "token_url", "revocation_url"];
const REST = ["issuer", "auth", "pkce", "separator", "token_format", "parameters"];
const OF_OTHERS = [...ADDRESSES, ...CLIENT, "scope", ...REST];

interface AccountFormProps {
  schema: unknown;
  /** The connector that the account is for: its service is chosen. */
  service?: Service;
  data: Data;
  onChange: (data: Data, provider: Provider | undefined) => void;
  errors: ErrorSchema;
}

export function AccountForm(props: AccountFormProps) {
  const { data: found, error, refetch } = useProviders();
  if (found === undefined)
    return error ? <Refused error={error} onRetry={() => void refetch()} /> : <Loading label="Loading the services" />;
  return (
    <Fields
      {...props}
      providers={found.items}
      redirect={found.redirect_url ?? null}
      problem={found.redirect_problem ?? null}
    />
  );
}

interface FieldsProps extends AccountFormProps {
  providers: Provider[];
  redirect: string | null;
  problem: string | null;
}

function Fields({ schema, service, data, onChange, errors, providers, redirect, problem }: FieldsProps) {
  const chosen = typeof data.provider === "string" ? data.provider : null;
  const provider = providers.find((one) => one.id === chosen);
  const known = useMemo(() => ready(provider), [provider]);
  const value = prefill(known, data);
  const put = (next: Data) => onChange(withoutPrefill(known, next), provider);
  const shown = chosen === CUSTOM ? OF_OTHERS : CLIENT;
  const client = useMemo(() => pick(schema, shown), [schema, shown]);
  const addresses = useMemo(() => pick(schema, ADDRESSES), [schema]);

  return (
    <Stack>
      {service === undefined && (
        <Select
          label="Service"
          required
          searchable
          allowDeselect
          placeholder="Choose a service"
          data={[
            ...providers.map((one) => ({ value: one.id, label: one.name })),
            { value: CUSTOM, label: "Other service" },
          ]}
          value={chosen}
          onChange={(id) =>
            onChange(
              id === null ? {} : { provider: id },
              providers.find((one) => one.id === id),
            )
          }
          error={errors.provider?.__errors?.[0]}
        />
      )}
      {chosen !== null && <HowTo provider={provider} apis={service?.apis} redirect={redirect} problem={problem} />}
      {chosen !== null && (
        <SchemaForm
          key={chosen}
          schema={client}
          value={pickValues(value, shown)}
          onChange={(next) => put({ ...omit(value, shown), ...next })}
          errors={errors}
          plain
        />
      )}
      {provider !== undefined && (
        <Scopes
          provider={provider}
          needed={service?.scopes}
          value={typeof data.scope === "string" ? data.scope : undefined}
          onChange={(scope) => put(scope === undefined ? omit(value, ["scope"]) : { ...value, scope })}
        />
      )}
      {provider !== undefined && (
        <Folded title="Addresses of the service">
          <SchemaForm
            schema={addresses}
            value={pickValues(value, ADDRESSES)}
            onChange={(next) => put({ ...omit(value, ADDRESSES), ...next })}
            errors={errors}
            plain
          />
        </Folded>
      )}
    </Stack>
  );
}

function Folded({ title, children }: { title: string; children: ReactNode }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <div>
      <Button
        variant="subtle"
        size="compact-sm"
        rightSection={<IconChevronDown size={14} aria-hidden />}
        aria-expanded={isOpen}
        onClick={() => setOpen(!isOpen)}
      >
        {title}
      </Button>
      <Collapse expanded={isOpen}>{isOpen && <Stack mt="xs">{children}</Stack>}</Collapse>
    </div>
  );
}

function pickValues(value: Data, names: readonly string[]): Data {
  return Object.fromEntries(Object.entries(value).filter(([name]) => names.includes(name)));
}

function omit(value: Data, names: readonly string[]): Data {
  return Object.fromEntries(Object.entries(value).filter(([name]) => !names.includes(name)));
}

interface HowToProps {
  provider: Provider | undefined;
  apis?: Readonly<Record<string, string>>;
  redirect: string | null;
  problem: string | null;
}

function HowTo({ provider, apis = {}, redirect, problem }: HowToProps) {
  const pages = Object.entries(apis);
  return (
    <Paper withBorder p="sm" radius="sm">
      <Stack gap="xs">
        <Text size="sm" fw={600}>
          Step 1: create an OAuth client
        </Text>
        <Text size="sm">
          {provider?.instructions ??
            "Register an application in the service's settings for developers, and enter the redirect address there."}
        </Text>
        {provider !== undefined && (
          <Group gap="md">
            <Anchor size="sm" href={provider.client_url} target="_blank" rel="noreferrer">
              Create an OAuth client in {provider.console} <IconExternalLink size={14} aria-hidden />
            </Anchor>
            <Anchor size="sm" href={provider.docs_url} target="_blank" rel="noreferrer">
              Documentation <IconExternalLink size={14} aria-hidden />
            </Anchor>
          </Group>
        )}
        {redirect === null ? (
          <Alert color="yellow" variant="light" p="xs" role="note">
            {problem}
          </Alert>
        ) : (
          <TextInput
            label="Redirect address"
            readOnly
            value={redirect}
            onFocus={(event) => event.currentTarget.select()}
            rightSection={<Copy text={redirect} />}
          />
        )}
        {pages.length > 0 && (
          <Text size="sm">
            <b>Step 2: switch on</b>{" "}
            {pages.map(([title, page], index) => (
              <span key={title}>
                {index > 0 && " and "}
                <Anchor size="sm" href={page} target="_blank" rel="noreferrer" underline="always">
                  the {title}
                </Anchor>
              </span>
            ))}
          </Text>
        )}
      </Stack>
    </Paper>
  );
}

function Copy({ text }: { text: string }) {
  return <CopyIcon value={text} label="Copy the redirect address" tip="Copy" />;
}

interface ScopesProps {
  provider: Provider;
  /** The permissions that a node needs: the others are folded. */
  needed?: readonly string[];
  /** The scopes as text, separated by spaces; undefined: those of the service. */
  value: string | undefined;
  onChange: (scope: string | undefined) => void;
}

function Scopes({ provider, needed, value, onChange }: ScopesProps) {
  if (provider.scopes.length === 0) return <Quiet>The permissions are set in the service.</Quiet>;
  const chosen = chosenScopes(provider, value);
  const known = provider.scopes.map((one) => one.value);
  const others = chosen.filter((one) => !known.includes(one));
  const put = (next: string[]) => onChange(next.length === 0 ? undefined : next.join(" "));
  const isNeeded = (scope: string) => needed === undefined || needed.length === 0 || needed.includes(scope);
  const list = (scopes: Provider["scopes"]) => (
    <Stack gap={6} py={2} style={{ overflowWrap: "anywhere" }}>
      {scopes.map((one) => (
        <Checkbox key={one.value} value={one.value} size="sm" label={one.title} description={one.value} />
      ))}
    </Stack>
  );
  const more = provider.scopes.filter((one) => !isNeeded(one.value));
  const otherScopes = (
    <TagsInput
      label="Other scopes"
      description="Scopes that are not in the list"
      value={others}
      splitChars={[" ", ","]}
      acceptValueOnBlur
      onChange={(next) => put([...chosen.filter((one) => known.includes(one)), ...next])}
    />
  );
  return (
    <>
      <Checkbox.Group
        label="Permissions in the account"
        description={
          more.length > 0
            ? "Those that this node needs. A change takes effect at the next connection."
            : "Choose only the permissions that your flows need. A change takes effect at the next connection."
        }
        value={chosen}
        onChange={(next) => put([...known.filter((one) => next.includes(one)), ...others])}
      >
        <Box mah={260} mt="xs" style={{ overflowY: "auto" }}>
          {list(provider.scopes.filter((one) => isNeeded(one.value)))}
        </Box>
        {more.length > 0 && (
          <Folded title="More permissions">
            <Box mah={260} style={{ overflowY: "auto" }}>
              {list(more)}
            </Box>
            {otherScopes}
          </Folded>
        )}
      </Checkbox.Group>
      {more.length === 0 && otherScopes}
    </>
  );
}
