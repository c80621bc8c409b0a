import { Modal, Stack, Text } from "@mantine/core";
import { type Schemas, server } from "@/api/client";
import type { Credential } from "@/api/credentials";
import { Trial } from "@/forms/credentials/Trial";

export default function TestDialog({ credential, onClose }: { credential: Credential; onClose: () => void }) {
  async function attempt(url: string | undefined) {
    const { data } = await server.POST("/api/credentials/{credential}/test", {
      params: { path: { credential: credential.id } },
      body: url === undefined ? {} : { url },
    });
    return data as Schemas["TrialOut"];
  }
  return (
    <Modal
      opened
      onClose={onClose}
      title={`Test “${credential.name}”`}
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <Stack>
        <Text size="sm" c="var(--quiet)">
          The server connects with this credential as a flow would.
        </Text>
        <Trial attempt={attempt} />
      </Stack>
    </Modal>
  );
}
