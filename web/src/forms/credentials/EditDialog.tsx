/** Change a credential's name, values or hosts. The values are never shown: they are replaced as a whole. */

import { Alert, Button, Group, Modal, Stack, Switch, TextInput } from "@mantine/core";
import { useState } from "react";
import { ApiError, type Detail, server } from "@/api/client";
import {
  type Credential,
  type CredentialType,
  hostsOf,
  useCredentials,
  useCredentialsChanged,
  useCredentialTypes,
} from "@/api/credentials";
import { notify } from "@/ui/notify";
import { Quiet } from "@/ui/Quiet";
import { Loading, Refused } from "@/ui/states";
import { ConnectionPanel } from "./Connection";
import { CredentialForm, type Draft, missingValues, useFirstFault } from "./CredentialForm";

interface EditDialogProps {
  credential: Credential;
  onClose: () => void;
  /** Called with the new name after it was saved. */
  onDone?: (name: string) => void;
}

export default function EditDialog({ credential, onClose, onDone }: EditDialogProps) {
  const { types, error, retry } = useCredentialTypes();
  const type = types?.find(credential.type);
  return (
    <Modal opened onClose={onClose} title={`Edit “${credential.name}”`} size="lg" closeOnClickOutside={false}>
      {types === undefined && (error ? <Refused error={error} onRetry={retry} /> : <Loading label="Loading" />)}
      {types !== undefined && type === undefined && (
        <Alert color="red">This server has no credential type named {credential.type}.</Alert>
      )}
      {type !== undefined && <Changing credential={credential} type={type} onClose={onClose} onDone={onDone} />}
    </Modal>
  );
}

interface Change {
  name?: string;
  data?: Draft["data"];
  hosts?: string[] | null;
}

function changeOf(credential: Credential, name: string, draft: Draft | null): Change {
  const change: Change = {};
  if (name !== credential.name) change.name = name;
  if (draft !== null) {
    change.data = draft.data;
    change.hosts = draft.hosts.length > 0 ? draft.hosts : null;
  }
  return change;
}

function Changing({ credential, type, onClose, onDone }: EditDialogProps & { type: CredentialType }) {
  const changed = useCredentialsChanged();
  // The account may be connected while the dialog is open.
  const present = useCredentials().data?.find((one) => one.id === credential.id) ?? credential;
  const [name, setName] = useState(credential.name);
  const [isAnew, setAnew] = useState(false);
  const [draft, setDraft] = useState<Draft>({ data: {}, hosts: hostsOf(credential) ?? [] });
  const [details, setDetails] = useState<Detail[]>([]);
  const [refusal, setRefusal] = useState<unknown>(null);
  const [isSaving, setSaving] = useState(false);
  const [form, focusFault] = useFirstFault<HTMLDivElement>();
  const wanted = changeOf(credential, name.trim(), isAnew ? draft : null);

  function change(next: Draft) {
    setDraft(next);
    setDetails([]);
  }

  async function save() {
    const lacks = isAnew ? missingValues(type.schema, draft.data) : [];
    setDetails(lacks);
    setRefusal(null);
    if (lacks.length > 0) return focusFault();
    setSaving(true);
    try {
      await server.PUT("/api/credentials/{credential}", {
        params: { path: { credential: credential.id } },
        body: wanted,
      });
      await changed();
      notify.done(`Credential “${name.trim()}” saved`);
      onDone?.(name.trim());
      onClose();
    } catch (error) {
      setDetails(error instanceof ApiError ? error.details : []);
      setRefusal(error);
      focusFault();
    }
    setSaving(false);
  }

  return (
    <Stack ref={form}>
      <TextInput
        label="Name"
        description="Flows refer to it by this name. It cannot be renamed while an active flow uses it."
        required
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      {!isAnew && <ConnectionPanel credential={present} />}
      <Switch
        label="Replace values"
        description="Enter all values again. Also needed to change the allowed hosts."
        checked={isAnew}
        onChange={(event) => setAnew(event.currentTarget.checked)}
      />
      {isAnew && <CredentialForm type={type} name={name} draft={draft} onChange={change} details={details} />}
      {!isAnew && (
        <Quiet>
          The values stay unchanged. {type.name}
          {hostsOf(credential) !== null && `; allowed hosts: ${hostsOf(credential)?.join(", ")}`}.
        </Quiet>
      )}
      {refusal !== null && <Refused error={refusal} />}
      <Group justify="flex-end">
        <Button variant="default" onClick={onClose}>
          Cancel
        </Button>
        <Button
          loading={isSaving}
          disabled={name.trim() === "" || Object.keys(wanted).length === 0}
          onClick={() => void save()}
        >
          Save
        </Button>
      </Group>
    </Stack>
  );
}
