/** Connects with a credential and says what came of it. */
import { Alert, Button, Group, Stack, Text, TextInput } from "@mantine/core";
import { IconCheck, IconPlugConnected, IconX } from "@tabler/icons-react";
import { useState } from "react";
import type { Schemas } from "@/api/client";
import { duration } from "@/ui/format";
import { messageOf } from "@/ui/states";

type Tried = Omit<Schemas["TrialOut"], "duration_ms"> & { duration_ms: number | null };

function Outcome({ outcome }: { outcome: Tried }) {
  const { ok, message, duration_ms } = outcome;
  const color = ok ? "var(--success)" : "var(--failed)";
  return (
    <Alert
      p="xs"
      variant="outline"
      color={ok ? "green" : "red"}
      icon={ok ? <IconCheck size={18} aria-hidden /> : <IconX size={18} aria-hidden />}
      title={ok ? "It works" : "It does not work yet"}
      styles={{ title: { color }, icon: { color } }}
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
      found = { ok: false, message: messageOf(error), duration_ms: null };
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
      <div role="status">{outcome !== null && <Outcome outcome={outcome} />}</div>
    </Stack>
  );
}
