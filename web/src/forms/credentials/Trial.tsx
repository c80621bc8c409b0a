/** Test a credential and show the result. */

import { Alert, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { IconCheck, IconPlugConnected, IconQuestionMark, IconX } from "@tabler/icons-react";
import { useState } from "react";
import { type Schemas, server } from "@/api/client";
import type { Credential } from "@/api/credentials";
import { Button } from "@/ui/Button";
import { duration } from "@/ui/format";
import { Quiet } from "@/ui/Quiet";
import { messageOf } from "@/ui/states";

type Tried = Omit<Schemas["TrialOut"], "duration_ms"> & { duration_ms: number | null };

const SHOWN = {
  ok: { title: "Test passed", color: "green", text: "var(--success)", Icon: IconCheck },
  failed: { title: "Test failed", color: "red", text: "var(--failed)", Icon: IconX },
  untested: { title: "Not tested", color: "gray", text: undefined, Icon: IconQuestionMark },
};

/** `needsUrl`: a test needs an address. */
function Outcome({ outcome, needsUrl }: { outcome: Tried; needsUrl: boolean }) {
  const { title, color, text, Icon } = SHOWN[outcome.status];
  const todo = outcome.status === "untested" && needsUrl ? ": enter a URL to test against" : "";
  const { message, duration_ms } = outcome;
  return (
    <Alert
      p="xs"
      variant="outline"
      color={color}
      icon={<Icon size={18} aria-hidden />}
      title={title + todo}
      styles={{ title: { color: text }, icon: { color: text } }}
    >
      <Text size="sm">
        {message}
        {duration_ms !== null && ` (${duration(duration_ms)})`}
      </Text>
    </Alert>
  );
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
    let found: Tried;
    try {
      found = await attempt(url.trim() === "" ? undefined : url.trim());
    } catch (error) {
      found = { ok: false, status: "failed", message: messageOf(error), duration_ms: null };
    }
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
      <div role="status">{outcome !== null && <Outcome outcome={outcome} needsUrl={asksForUrl} />}</div>
    </Stack>
  );
}

export default function TestDialog({ credential, onClose }: { credential: Credential; onClose: () => void }) {
  async function attempt(url: string | undefined) {
    const { data } = await server.POST("/api/credentials/{credential}/test", {
      params: { path: { credential: credential.id } },
      body: url === undefined ? {} : { url },
    });
    return data as Schemas["TrialOut"];
  }
  return (
    <Modal opened onClose={onClose} title={`Test “${credential.name}”`}>
      <Stack>
        <Quiet>The server connects with this credential as a flow would.</Quiet>
        <Trial attempt={attempt} />
      </Stack>
    </Modal>
  );
}
