import { Button, Group, List, Modal, Stack, Text, Textarea } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { type FormEvent, useEffect, useState } from "react";
import { api, type Schemas } from "@/api/client";
import type { FlowNode } from "@/definition/types";
import { Refused } from "@/ui/states";
import { useEditorStore } from "../context";
import { useUi } from "../ui";
import { addNode } from "./adding";

type Imported = Schemas["ImportedOut"];

/** Show what could not be imported from the command. */
function tell({ notes, credentials }: Imported): void {
  const lines = [
    ...credentials.map(
      (one) => `Create the credential “${one.name}” (${one.type}): its secret is not stored in the flow.`,
    ),
    ...notes,
  ];
  if (lines.length === 0) return;
  notifications.show({
    title: "Node added",
    autoClose: 15_000,
    message: (
      <List size="sm">
        {lines.map((line) => (
          <List.Item key={line}>{line}</List.Item>
        ))}
      </List>
    ),
  });
}

/** Create a node from a cURL command, as browsers and documentation provide it. */
export function CurlDialog() {
  const store = useEditorStore();
  const curl = useUi((ui) => ui.curl);
  const set = useUi((ui) => ui.set);
  const [command, setCommand] = useState("");
  useEffect(() => setCommand(curl?.command ?? ""), [curl]);
  const close = () => set({ curl: null });
  const read = api.useMutation("post", "/api/import/curl", {
    onSuccess: (imported) => {
      const { id: _id, ...node } = imported.node as unknown as FlowNode;
      addNode(store.getState(), node, curl?.where ?? {});
      close();
      tell(imported);
    },
  });

  function submit(event: FormEvent) {
    event.preventDefault();
    read.mutate({ body: { command } });
  }

  return (
    <Modal opened={curl !== null} onClose={close} title="Add node from cURL command" size="lg">
      <form onSubmit={submit}>
        <Stack>
          <Textarea
            label="cURL command"
            description="From a browser's network panel (Copy as cURL) or from documentation"
            placeholder="curl https://api.example.com/orders -H 'Accept: application/json'"
            value={command}
            onChange={(event) => setCommand(event.currentTarget.value)}
            autosize
            minRows={5}
            maxRows={14}
            data-autofocus
            required
            styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)" } }}
          />
          <Text size="xs" c="var(--quiet)">
            Secrets in the command are not stored in the flow.
          </Text>
          {read.error !== null && <Refused error={read.error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              Cancel
            </Button>
            <Button type="submit" loading={read.isPending}>
              Add node
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
