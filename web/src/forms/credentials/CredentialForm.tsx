/** The values of a credential, drawn from the schema of its type, and where it may be sent. */
import { Alert, Button, Group, Stack, TagsInput, Text, TextInput } from "@mantine/core";
import type { ErrorSchema } from "@rjsf/utils";
import { IconCheck, IconPlugConnected, IconX } from "@tabler/icons-react";
import { useState } from "react";
import { type Detail, type Schemas, server } from "@/api/client";
import type { CredentialType } from "@/api/credentials";
import type { Json } from "@/definition/types";
import { duration } from "@/ui/format";
import { messageOf } from "@/ui/states";
import { SchemaForm } from "../SchemaForm";
import { sortProblems } from "../schema/problems";
import { hostIn } from "./hosts";

export interface Draft {
  data: Record<string, Json>;
  hosts: string[];
}

/** The server's details on `data.host` and their like, as the form library takes them. */
export function errorsOf(details: readonly Detail[]): ErrorSchema {
  const within = details
    .filter((one) => one.path.startsWith("data."))
    .map((one) => ({ path: one.path.slice("data.".length), message: one.message }));
  return sortProblems(within, () => true).errors;
}

interface HostsFieldProps {
  hosts: string[];
  onChange: (hosts: string[]) => void;
}

export function HostsField({ hosts, onChange }: HostsFieldProps) {
  return (
    <TagsInput
      label="Hosts that it may be sent to"
      description="Such as api.example.com or *.example.com. Without any, only the host that its values name"
      placeholder={hosts.length === 0 ? "Type a host and press Enter" : undefined}
      value={hosts}
      onChange={(next) => onChange(next.map(hostIn))}
      splitChars={[",", " "]}
      acceptValueOnBlur
    />
  );
}

type Tried = Schemas["TrialOut"] | { ok: false; message: string; duration_ms: null };

interface TrialProps {
  /** Tries the credential out, at this address where one is given. */
  attempt: (url: string | undefined) => Promise<Schemas["TrialOut"]>;
  disabled?: boolean;
}

/** Connects with the credential and says what came of it. */
export function Trial({ attempt, disabled = false }: TrialProps) {
  const [url, setUrl] = useState("");
  const [isTrying, setTrying] = useState(false);
  const [outcome, setOutcome] = useState<Tried | null>(null);
  async function run() {
    setTrying(true);
    setOutcome(null);
    try {
      setOutcome(await attempt(url.trim() === "" ? undefined : url.trim()));
    } catch (error) {
      setOutcome({ ok: false, message: messageOf(error), duration_ms: null });
    }
    setTrying(false);
  }
  return (
    <Stack gap="xs">
      <Group align="flex-end" gap="xs">
        <TextInput
          flex={1}
          miw={180}
          label="Address to test it at"
          description="Only for credentials that name no host"
          placeholder="https://api.example.com/me"
          value={url}
          onChange={(event) => setUrl(event.currentTarget.value)}
        />
        <Button
          variant="default"
          loading={isTrying}
          disabled={disabled}
          leftSection={<IconPlugConnected size={16} aria-hidden />}
          onClick={() => void run()}
        >
          Test
        </Button>
      </Group>
      <div role="status">
        {outcome !== null && (
          <Alert
            p="xs"
            variant="light"
            color={outcome.ok ? "green" : "red"}
            icon={outcome.ok ? <IconCheck size={18} aria-hidden /> : <IconX size={18} aria-hidden />}
            title={outcome.ok ? "It works" : "It does not work"}
          >
            <Text size="sm">
              {outcome.message}
              {outcome.duration_ms !== null && ` (${duration(outcome.duration_ms)})`}
            </Text>
          </Alert>
        )}
      </div>
    </Stack>
  );
}

interface CredentialFormProps {
  type: CredentialType;
  draft: Draft;
  onChange: (draft: Draft) => void;
  details: readonly Detail[];
}

export function CredentialForm({ type, draft, onChange, details }: CredentialFormProps) {
  const errors = errorsOf(details);
  async function attempt(url: string | undefined) {
    const hosts = draft.hosts.length > 0 ? draft.hosts : null;
    const body = { type: type.type, data: draft.data, hosts, ...(url === undefined ? {} : { url }) };
    const { data } = await server.POST("/api/credentials/test", { body });
    return data as Schemas["TrialOut"];
  }
  return (
    <Stack>
      <SchemaForm
        schema={type.schema}
        value={draft.data}
        onChange={(data) => onChange({ ...draft, data })}
        errors={errors}
        plain
      />
      <HostsField hosts={draft.hosts} onChange={(hosts) => onChange({ ...draft, hosts })} />
      <Trial attempt={attempt} />
    </Stack>
  );
}
