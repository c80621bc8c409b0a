/** The values of a credential, drawn from the schema of its type, and its allowed hosts. */

import { Alert, Stack, TagsInput } from "@mantine/core";
import type { ErrorSchema } from "@rjsf/utils";
import { type ReactNode, type RefObject, Suspense, useEffect, useMemo, useRef, useState } from "react";
import { ACCOUNT, type Provider } from "@/api/accounts";
import { type Detail, type Schemas, server } from "@/api/client";
import type { CredentialType } from "@/api/credentials";
import type { Json } from "@/definition/types";
import { lazily } from "@/ui/lazily";
import { Loading } from "@/ui/states";
import { SchemaForm } from "../SchemaForm";
import { sortProblems } from "../schema/problems";
import type { FieldSchema } from "../schema/types";
import { FoldingProvider } from "../templates";
import { faultsOf } from "../validator";
import { hostIn } from "./hosts";
import { Trial } from "./Trial";

/** Return a ref for a form, and a function that focuses its first invalid field once the errors are shown. */
export function useFirstFault<Form extends HTMLElement>(): [RefObject<Form | null>, () => void] {
  const form = useRef<Form>(null);
  const [asked, setAsked] = useState(0);
  useEffect(() => {
    if (asked > 0) form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
  }, [asked]);
  return [form, () => setAsked((before) => before + 1)];
}

/** Return the required values that are missing, to report them without asking the server. */
export function missingValues(schema: unknown, data: Record<string, Json>): Detail[] {
  return faultsOf(schema, data)
    .filter((fault) => fault.name === "required")
    .map((fault) => ({ path: `data${fault.property}`, message: "This field is required" }));
}

const AccountForm = lazily(() => import("./AccountForm").then((part) => ({ default: part.AccountForm })));

export interface Draft {
  data: Record<string, Json>;
  hosts: string[];
}

/** Convert the server's details with paths like `data.host` to the form library's errors. */
function errorsOf(details: readonly Detail[]): ErrorSchema {
  const within = details
    .filter((one) => one.path.startsWith("data."))
    .map((one) => ({ path: one.path.slice("data.".length), message: one.message }));
  return sortProblems(within, () => true).errors;
}

interface HostsFieldProps {
  hosts: string[];
  /** The hosts if none is named; undefined: the host in the values. */
  usual?: readonly string[];
  /** True if the values contain no host, so allowed hosts are required. */
  needed: boolean;
  onChange: (hosts: string[]) => void;
}

function HostsField({ hosts, usual, needed, onChange }: HostsFieldProps) {
  return (
    <>
      <TagsInput
        label="Allowed hosts"
        description={
          needed
            ? "Required for header and token credentials. For example api.example.com or *.example.com"
            : `For example api.example.com or *.example.com. If empty: ${usual?.join(", ") ?? "the host in the values above"}.`
        }
        placeholder={hosts.length === 0 ? "Type a host and press Enter" : undefined}
        value={hosts}
        onChange={(next) => onChange(next.map(hostIn))}
        splitChars={[",", " "]}
        acceptValueOnBlur
      />
      {needed && hosts.length === 0 && (
        <Alert color="yellow" variant="light" p="xs" role="note">
          Without an allowed host, nodes cannot send this credential. Credentials that only check webhook calls need
          none.
        </Alert>
      )}
    </>
  );
}

export type DrawHosts = (hosts: string[], onChange: (hosts: string[]) => void) => ReactNode;

interface CredentialFormProps {
  type: CredentialType;
  /** Draws the allowed hosts in another way than `HostsField`. */
  drawHosts?: DrawHosts;
  /** The credential's name, for messages of the test. */
  name: string;
  draft: Draft;
  onChange: (draft: Draft) => void;
  details: readonly Detail[];
  /** The connector that the credential is for: its test is made when it is saved. */
  service?: Service;
}

/** What a node needs of an account in its service. */
export interface Service {
  /** The connector. */
  type: string;
  name: string;
  /** The permissions that its operation needs. */
  scopes: readonly string[];
  /** APIs that must be switched on there, each with the page for that. */
  apis: Readonly<Record<string, string>>;
}

/** Test values that are not saved. */
export async function testValues(
  name: string,
  type: string,
  draft: Draft,
  options: { url?: string; service?: string },
) {
  const hosts = draft.hosts.length > 0 ? draft.hosts : null;
  const body = { name: name.trim() || "new", type, data: draft.data, hosts, ...options };
  const { data } = await server.POST("/api/credentials/test", { body });
  return data as Schemas["TrialOut"];
}

export function CredentialForm(props: CredentialFormProps) {
  const { type, name, draft, onChange, details, drawHosts, service } = props;
  const errors = errorsOf(details);
  // A type has few settings, and the user has looked them up already: show all of them.
  const folding = useMemo(
    () => ({ usual: new Set(Object.keys((type.schema as FieldSchema).properties ?? {})), remembered: "" }),
    [type],
  );
  const [provider, setProvider] = useState<Provider>();
  const isAccount = type.type === ACCOUNT;
  const changeHosts = (hosts: string[]) => onChange({ ...draft, hosts });
  return (
    <Stack>
      <FoldingProvider value={folding}>
        {isAccount ? (
          <Suspense fallback={<Loading label="Loading the services" />}>
            <AccountForm
              schema={type.schema}
              service={service}
              data={draft.data}
              onChange={(data, chosen) => {
                setProvider(chosen);
                onChange({ ...draft, data });
              }}
              errors={errors}
            />
          </Suspense>
        ) : (
          <SchemaForm
            schema={type.schema}
            value={draft.data}
            onChange={(data) => onChange({ ...draft, data })}
            errors={errors}
            plain
          />
        )}
      </FoldingProvider>
      {drawHosts?.(draft.hosts, changeHosts) ?? (
        <HostsField hosts={draft.hosts} usual={provider?.hosts} needed={type.needs_hosts} onChange={changeHosts} />
      )}
      {/* An account is tested once it is connected. */}
      {!isAccount && service === undefined && (
        <Trial attempt={(url) => testValues(name, type.type, draft, url === undefined ? {} : { url })} />
      )}
    </Stack>
  );
}
