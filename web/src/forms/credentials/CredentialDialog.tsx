/** Create a credential: type, name, values, test. */

import { Button, Group, Modal, Select, Stack, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import { needsConnection } from "@/api/accounts";
import { ApiError, type Detail, server } from "@/api/client";
import {
  type Credential,
  type CredentialType,
  useCredentials,
  useCredentialsChanged,
  useCredentialTypes,
} from "@/api/credentials";
import { Quiet } from "@/ui/Quiet";
import { Loading, Refused } from "@/ui/states";
import { Words } from "../fields/FieldFrame";
import { ConnectionPanel } from "./Connection";
import { CredentialForm, type Draft, type DrawHosts, missingValues, useFirstFault } from "./CredentialForm";

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
  /** True if the dialog itself describes the type. */
  isBrief?: boolean;
}

/** The state of the form: values, problems, saving. */
function useMaking(props: MakingProps, onFaults: () => void) {
  const { types, suggestedName = "", suggestedHosts = [], suggested, onClose, onDone } = props;
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
  const type = types.find((one) => one.type === typeName);
  const isTaken = others?.some((one) => one.name === name.trim()) ?? false;

  function change(next: Draft) {
    setDraft(next);
    // Problems of the former values no longer apply.
    setDetails(details.filter((one) => one.path === "name"));
  }

  async function save() {
    const lacks = missing(type, name, draft);
    setDetails(lacks);
    setRefusal(null);
    if (lacks.length > 0) onFaults();
    if (type === undefined || lacks.length > 0) return;
    setSaving(true);
    try {
      const hosts = draft.hosts.length > 0 ? draft.hosts : null;
      const body = { name: name.trim(), type: type.type, data: draft.data, hosts };
      const { data } = await server.POST("/api/credentials", { body });
      await changed();
      if (data !== undefined) onDone(data);
      // The next step of the dialog connects the account.
      if (data !== undefined && needsConnection(data)) setMade(data);
      else onClose();
    } catch (error) {
      const known = error instanceof ApiError ? error.details : [];
      setDetails(known);
      onFaults();
      if (known.length === 0) setRefusal(error);
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
    chooseType,
    rename,
    change,
    save,
  };
}

/** The second step for an account: the service asks for consent. */
function ConnectStep({ made, onClose }: { made: Credential; onClose: () => void }) {
  const { data: all } = useCredentials();
  const present = all?.find((one) => one.id === made.id) ?? made;
  const isConnected = !needsConnection(present);
  return (
    <Stack>
      <Text size="sm">
        {isConnected
          ? `“${made.name}” is connected. Flows can use it now.`
          : `“${made.name}” is saved. Now connect the account: the service opens in another window and asks for your consent.`}
      </Text>
      <ConnectionPanel credential={present} fresh />
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
  const { types, drawHosts, isBrief = false, onClose } = props;
  const [form, focusFault] = useFirstFault<HTMLDivElement>();
  const { only, type, name, draft, details, refusal, isSaving, isTaken, made, chooseType, rename, change, save } =
    useMaking(props, focusFault);
  const nameFault = details.find((one) => one.path === "name")?.message;
  if (made !== null) return <ConnectStep made={made} onClose={onClose} />;
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
          onChange={chooseType}
          placeholder="Choose a type"
        />
      )}
      {type !== undefined && !isBrief && (
        <Quiet>
          <Words text={type.description} />
        </Quiet>
      )}
      {type !== undefined && (
        <>
          <TextInput
            label="Name"
            description="Flows refer to it by this name"
            required
            data-autofocus
            autoComplete="off"
            value={name}
            onChange={(event) => rename(event.currentTarget.value)}
            error={nameFault ?? (isTaken ? "A credential with this name already exists" : undefined)}
          />
          <CredentialForm
            key={type.type}
            type={type}
            name={name}
            draft={draft}
            onChange={change}
            details={details}
            drawHosts={drawHosts}
          />
        </>
      )}
      {refusal !== null && <Refused error={refusal} />}
      {details
        .filter((one) => one.path !== "name" && !one.path.startsWith("data."))
        .map((one) => (
          <Text key={one.path} size="sm" c="var(--failed)">
            {one.path}: {one.message}
          </Text>
        ))}
      <Group justify="flex-end">
        <Button variant="default" onClick={onClose}>
          Cancel
        </Button>
        <Button loading={isSaving} disabled={type === undefined || isTaken} onClick={() => void save()}>
          Save
        </Button>
      </Group>
    </Stack>
  );
}
