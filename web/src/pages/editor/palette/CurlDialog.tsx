import { Button, List, Textarea } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { IconTerminal2 } from "@tabler/icons-react";
import { usePack } from "@/api/catalogue";
import { type Schemas, server } from "@/api/client";
import type { FlowNode } from "@/definition/types";
import { FormDialog } from "@/ui/FormDialog";
import { Quiet } from "@/ui/Quiet";
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

/** The button that opens the dialog; none if the server cannot read such commands. */
export function CurlButton({ onClick }: { onClick: () => void }) {
  if (!usePack("importing")) return null;
  return (
    <Button
      fullWidth
      size="xs"
      variant="default"
      leftSection={<IconTerminal2 size={16} aria-hidden />}
      onClick={onClick}
    >
      Paste a cURL command
    </Button>
  );
}

/** Create a node from a cURL command, as browsers and documentation provide it. */
export function CurlDialog() {
  const store = useEditorStore();
  const curl = useUi((ui) => ui.curl);
  const set = useUi((ui) => ui.set);
  const close = () => set({ curl: null });

  async function add(command: string) {
    const { data } = await server.POST("/api/import/curl", { body: { command } });
    const imported = data as Imported;
    const { id: _id, ...node } = imported.node as unknown as FlowNode;
    addNode(store.getState(), node, curl?.where ?? {});
    tell(imported);
  }

  return (
    <FormDialog
      opened={curl !== null}
      onClose={close}
      title="Add node from cURL command"
      size="lg"
      centered={false}
      action="Add node"
      initial={{ command: curl?.command ?? "" }}
      onSubmit={({ command }) => add(command)}
    >
      {({ bind }) => (
        <>
          <Textarea
            label="cURL command"
            description="From a browser's network panel (Copy as cURL) or from documentation"
            placeholder="curl https://api.example.com/orders -H 'Accept: application/json'"
            autosize
            minRows={5}
            maxRows={14}
            data-autofocus
            required
            styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)" } }}
            {...bind("command")}
          />
          <Quiet size="xs">Secrets in the command are not stored in the flow.</Quiet>
        </>
      )}
    </FormDialog>
  );
}
