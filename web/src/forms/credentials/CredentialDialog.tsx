/** Create a credential: type, name, values, test. */

import { Button, Group, Modal, Select, Stack, Text, TextInput } from "@mantine/core";
import { useEffect, useState } from "react";
import { ACCOUNT, type Connecting, needsConnection, useConnecting } from "@/api/accounts";
import { ApiError, type Detail, server } from "@/api/client";
import {
  type Credential,
  type CredentialType,
  useCredentials,
  useCredentialsChanged,
  useCredentialTypes,
} from "@/api/credentials";
import { notify } from "@/ui/notify";
import { Quiet } from "@/ui/Quiet";
import { Loading, Refused } from "@/ui/states";
import { Words } from "../fields/FieldFrame";
import { ConnectionPanel } from "./Connection";
import {
  CredentialForm,
  type Draft,
  type DrawHosts,
  missingValues,
  type Service,
  testValues,
  useFirstFault,
} from "./CredentialForm";
import { Outcome, type Tried, testSaved, tried } from "./Trial";

interface CredentialDialogProps {
  /** The types to choose from; all if undefined. */
  only?: readonly string[];
  suggestedName?: string;
  suggestedHosts?: string[];
  /** Values that are already known, for example from an import. */
  suggested?: { type: string; data: Draft["data"]; hosts: string[] };
  onClose: () => void;
  onDone: (made: Credential) => void;
}

export function CredentialDialog(props: CredentialDialogProps) {
  const { types, error, retry } = useCredentialTypes();
  return (
    <Modal opened onClose={props.onClose} title="New credential" size="lg" closeOnClickOutside={false}>
      {types === undefined ? (
        error ? (
          <Refused error={error} onRetry={retry} />
        ) : (
          <Loading label="Loading the types" />
        )
      ) : (
        <CredentialMaking
          {...props}
          types={types.types.filter((type) => !props.only?.length || props.only.includes(type.type))}
        />
      )}
    </Modal>
  );
}

/** Return problems that can be found without asking the server. */
function missing(type: CredentialType | undefined, name: string, draft: Draft): Detail[] {
  const found: Detail[] = [];
  if (name.trim() === "") found.push({ path: "name", message: "Enter a name" });
  if (type !== undefined) found.push(...missingValues(type.schema, draft.data));
  return found;
}

interface MakingProps extends CredentialDialogProps {
  types: CredentialType[];
  /** Draws the allowed hosts in another way. */
  drawHosts?: DrawHosts;
  /** The connector that it is for, if the dialog itself describes the type. */
  service?: Service;
}

/** The state of the form: values, problems, saving. */
function useMaking(props: MakingProps, onFaults: () => void) {
  const { types, suggestedName = "", suggestedHosts = [], suggested, service, onClose, onDone } = props;
  const { data: others } = useCredentials();
  const changed = useCredentialsChanged();
  const only = types.length === 1 ? types[0] : undefined;
  const [typeName, setTypeName] = useState<string | null>(suggested?.type ?? only?.type ?? null);
  const [name, setName] = useState(suggestedName);
  const [draft, setDraft] = useState<Draft>({
    data: suggested?.data ?? {},
    hosts: suggested?.hosts ?? suggestedHosts,
  });
  const [details, setDetails] = useState<Detail[]>([]);
  const [refusal, setRefusal] = useState<unknown>(null);
  const [isSaving, setSaving] = useState(false);
  const [made, setMade] = useState<Credential | null>(null);
  const [refused, setRefused] = useState<Tried | null>(null);
  const connecting = useConnecting();
  const type = types.find((one) => one.type === typeName);
  const isTaken = others?.some((one) => one.name === name.trim()) ?? false;

  function change(next: Draft) {
    setDraft(next);
    setRefused(null);
    // Problems of the former values no longer apply.
    setDetails(details.filter((one) => one.path === "name"));
  }

  /** Save the credential and return its id; undefined if it was not saved. */
  async function keep(): Promise<string | undefined> {
    const lacks = missing(type, name, draft);
    setDetails(lacks);
    setRefusal(null);
    if (lacks.length > 0) onFaults();
    if (type === undefined || lacks.length > 0) return undefined;
    try {
      const hosts = draft.hosts.length > 0 ? draft.hosts : null;
      const body = { name: name.trim(), type: type.type, data: draft.data, hosts };
      const { data } = await server.POST("/api/credentials", { body });
      await changed();
      if (data === undefined) return undefined;
      onDone(data);
      // The next step of the dialog shows how the account is connected.
      if (needsConnection(data)) setMade(data);
      else onClose();
      return data.id;
    } catch (error) {
      const known = error instanceof ApiError ? error.details : [];
      setDetails(known);
      onFaults();
      if (known.length === 0) setRefusal(error);
      return undefined;
    }
  }

  /** Save the credential, and connect its account. That of a known service is tested first, unless `isAnyway`. */
  async function save(isAnyway = false) {
    setSaving(true);
    const isComplete = missing(type, name, draft).length === 0;
    if (type?.type === ACCOUNT && isComplete) {
      await connecting.start(keep);
    } else if (type !== undefined && service !== undefined && isComplete && !isAnyway) {
      const found = await tried(() => testValues(name, type.type, draft, { service: service.type }));
      setRefused(found.status === "failed" ? found : null);
      if (found.status !== "failed" && (await keep()) !== undefined)
        notify.done(found.ok ? found.message : `Credential “${name.trim()}” saved`);
    } else {
      await keep();
    }
    setSaving(false);
  }

  function chooseType(next: string | null) {
    setTypeName(next);
    setDraft({ ...draft, data: {} });
    setDetails([]);
  }

  function rename(next: string) {
    setName(next);
    setDetails(details.filter((one) => one.path !== "name"));
  }

  return {
    only,
    type,
    name,
    draft,
    details,
    refusal,
    isSaving,
    isTaken,
    made,
    refused,
    connecting,
    chooseType,
    rename,
    change,
    save,
  };
}

interface ConnectStepProps {
  made: Credential;
  connecting: Connecting;
  service?: Service;
  onClose: () => void;
}

/** The second step for an account: the service asks for consent. An account that works ends it. */
function ConnectStep({ made, connecting, service, onClose }: ConnectStepProps) {
  const { data: all } = useCredentials();
  const present = all?.find((one) => one.id === made.id) ?? made;
  const isConnected = !needsConnection(present);
  const [refused, setRefused] = useState<Tried | null>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, when the account is connected
  useEffect(() => {
    if (!isConnected) return;
    const test = service === undefined ? null : tried(() => testSaved(made.id, { service: service.type }));
    void Promise.resolve(test).then((found) => {
      if (found?.status === "failed") return setRefused(found);
      notify.done(`“${made.name}” is connected. Flows can use it now.`);
      onClose();
    });
  }, [isConnected]);
  return (
    <Stack>
      {!isConnected && <Text size="sm">“{made.name}” is saved. Give your consent in the window of the service.</Text>}
      <ConnectionPanel credential={present} begun={connecting} />
      {refused !== null && <Outcome outcome={refused} />}
      <Group justify="flex-end">
        <Button variant={isConnected ? "filled" : "default"} onClick={onClose}>
          {isConnected ? "Done" : "Later"}
        </Button>
      </Group>
    </Stack>
  );
}

/** The form of a new credential, within a dialog. */
export function CredentialMaking(props: MakingProps) {
  const { types, drawHosts, service, onClose } = props;
  const [form, focusFault] = useFirstFault<HTMLDivElement>();
  const making = useMaking(props, focusFault);
  const { only, type, name, draft, details, refusal, refused, isSaving, isTaken, made, connecting } = making;
  const nameFault = details.find((one) => one.path === "name")?.message;
  const isBrief = service !== undefined;
  // The secret is what the user has come to enter; the name is known. The dialog, too, chooses what to focus.
  useEffect(() => {
    const first = isBrief ? form.current?.querySelector<HTMLElement>("input:not([readonly]), textarea") : null;
    first?.setAttribute("data-autofocus", "true");
    first?.focus();
  }, [isBrief, form]);
  if (made !== null) return <ConnectStep made={made} connecting={connecting} service={service} onClose={onClose} />;
  const isAccount = type?.type === ACCOUNT;
  const nameField = (
    <TextInput
      label="Name"
      description="Flows refer to it by this name"
      required
      data-autofocus={!isBrief || undefined}
      autoComplete="off"
      value={name}
      onChange={(event) => making.rename(event.currentTarget.value)}
      error={nameFault ?? (isTaken ? "A credential with this name already exists" : undefined)}
    />
  );
  return (
    <Stack ref={form}>
      {only === undefined && (
        <Select
          label="Type"
          required
          searchable
          data={types.map((one) => ({ value: one.type, label: one.name }))}
          value={type?.type ?? null}
          allowDeselect
          onChange={making.chooseType}
          placeholder="Choose a type"
        />
      )}
      {type !== undefined && !isBrief && (
        <>
          <Quiet>
            <Words text={type.description} />
          </Quiet>
          {nameField}
        </>
      )}
      {type !== undefined && (
        <CredentialForm
          key={type.type}
          type={type}
          name={name}
          draft={draft}
          onChange={making.change}
          details={details}
          drawHosts={drawHosts}
          service={service}
        />
      )}
      {isBrief && nameField}
      {refusal !== null && <Refused error={refusal} />}
      {details
        .filter((one) => one.path !== "name" && !one.path.startsWith("data."))
        .map((one) => (
          <Text key={one.path} size="sm" c="var(--failed)">
            {one.path}: {one.message}
          </Text>
        ))}
      {/* In view however long the form is. */}
      <Stack gap="xs" py="sm" mb="-md" pos="sticky" bottom={0} bg="var(--mantine-color-body)" style={{ zIndex: 2 }}>
        <div role="status">{refused !== null && <Outcome outcome={refused} />}</div>
        <Group justify="flex-end">
          {refused !== null && (
            <Button variant="subtle" onClick={() => void making.save(true)}>
              Save anyway
            </Button>
          )}
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button loading={isSaving} disabled={type === undefined || isTaken} onClick={() => void making.save()}>
            {isAccount ? "Connect account" : "Save"}
          </Button>
        </Group>
      </Stack>
    </Stack>
  );
}
