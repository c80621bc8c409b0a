/** Test a credential and show the result. */

import { Alert, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { IconCheck, IconPlugConnected, IconQuestionMark, IconX } from "@tabler/icons-react";
import { useState } from "react";
import { type Schemas, server } from "@/api/client";
import type { Credential } from "@/api/credentials";
import { Button } from "@/ui/Button";
import { duration } from "@/ui/format";
import { Linked } from "@/ui/Linked";
import { Quiet } from "@/ui/Quiet";
import { messageOf } from "@/ui/states";

export type Tried = Omit<Schemas["TrialOut"], "duration_ms"> & { duration_ms: number | null };

const SHOWN = {
  ok: { title: "Test passed", color: "green", text: "var(--success)", Icon: IconCheck },
  failed: { title: "Test failed", color: "red", text: "var(--failed)", Icon: IconX },
  untested: { title: "Not tested", color: "gray", text: undefined, Icon: IconQuestionMark },
};

export function Outcome({ outcome }: { outcome: Tried }) {
  const { title, color, text, Icon } = SHOWN[outcome.status];
  const { status, message, duration_ms } = outcome;
  return (
    <Alert
      p="xs"
      variant="outline"
      color={color}
      icon={<Icon size={18} aria-hidden />}
      title={title}
      styles={{ title: { color: text }, icon: { color: text } }}
    >
      <Text size="sm">
        <Linked text={message} />
        {duration_ms !== null && status !== "untested" && ` (${duration(duration_ms)})`}
      </Text>
    </Alert>
  );
}

/** Return the result of a test, which is an error of the server, too. */
export async function tried(attempt: () => Promise<Schemas["TrialOut"]>): Promise<Tried> {
  try {
    return await attempt();
  } catch (error) {
    return { ok: false, status: "failed", message: messageOf(error), duration_ms: null };
  }
}

/** Test a saved credential. `service` is the connector that it is for, if that is known. */
export async function testSaved(credential: string, options: { url?: string; service?: string }) {
  const { data } = await server.POST("/api/credentials/{credential}/test", {
    params: { path: { credential } },
    body: options,
  });
  return data as Schemas["TrialOut"];
}

interface TrialProps {
  /** Test the credential, against this address if one is given. */
  attempt: (url: string | undefined) => Promise<Schemas["TrialOut"]>;
}

export function Trial({ attempt }: TrialProps) {
  const [url, setUrl] = useState("");
  const [isTrying, setTrying] = useState(false);
  const [outcome, setOutcome] = useState<Tried | null>(null);
  // A credential without a host is tested against an address; the server's message asks for it.
  const [asksForUrl, setAsksForUrl] = useState(false);

  async function run() {
    setTrying(true);
    setOutcome(null);
    const found = await tried(() => attempt(url.trim() === "" ? undefined : url.trim()));
    setOutcome(found);
    if (/\burl\b/i.test(found.message)) setAsksForUrl(true);
    setTrying(false);
  }

  return (
    <Stack gap="xs">
      <Group align="flex-end" gap="xs">
        <Button variant="default" loading={isTrying} icon={IconPlugConnected} onClick={() => void run()}>
          Test
        </Button>
        {asksForUrl && (
          <TextInput
            flex={1}
            miw={180}
            label="Test URL"
            placeholder="https://api.example.com/me"
            value={url}
            onChange={(event) => setUrl(event.currentTarget.value)}
          />
        )}
      </Group>
      <div role="status">{outcome !== null && <Outcome outcome={outcome} />}</div>
    </Stack>
  );
}

export default function TestDialog({ credential, onClose }: { credential: Credential; onClose: () => void }) {
  return (
    <Modal opened onClose={onClose} title={`Test “${credential.name}”`}>
      <Stack>
        <Quiet>The server connects with this credential as a flow would.</Quiet>
        <Trial attempt={(url) => testSaved(credential.id, url === undefined ? {} : { url })} />
      </Stack>
    </Modal>
  );
}
