/** Connects with a credential and says what came of it. */
import { Alert, Button, Group, Stack, Text, TextInput } from "@mantine/core";
import { IconCheck, IconPlugConnected, IconQuestionMark, IconX } from "@tabler/icons-react";
import { useState } from "react";
import type { Schemas } from "@/api/client";
import { duration } from "@/ui/format";
import { messageOf } from "@/ui/states";

type Tried = Omit<Schemas["TrialOut"], "duration_ms"> & { duration_ms: number | null };

const SHOWN = {
  ok: { title: "It works", color: "green", text: "var(--success)", Icon: IconCheck },
  failed: { title: "It does not work yet", color: "red", text: "var(--failed)", Icon: IconX },
  untested: { title: "Not tested", color: "gray", text: undefined, Icon: IconQuestionMark },
};

/** `needsUrl`: an address is what it takes to test it. */
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
  /** Tries the credential out, at this address where one is given. */
  attempt: (url: string | undefined) => Promise<Schemas["TrialOut"]>;
}

export function Trial({ attempt }: TrialProps) {
  const [url, setUrl] = useState("");
  const [isTrying, setTrying] = useState(false);
  const [outcome, setOutcome] = useState<Tried | null>(null);
  // A credential that names no host is tried out at an address, for which the server asks then.
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
        <Button
          variant="default"
          loading={isTrying}
          leftSection={<IconPlugConnected size={16} aria-hidden />}
          onClick={() => void run()}
        >
          Test
        </Button>
        {asksForUrl && (
          <TextInput
            flex={1}
            miw={180}
            label="Address to test it at"
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
