import { Button, Kbd, Stack, Text } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { Panel } from "@xyflow/react";
import { useEditor } from "../context";
import { useUi } from "../ui";

/** Shown in an empty flow: how to start. */
export function EmptyCanvas() {
  const isEmpty = useEditor((state) => state.definition.nodes.length === 0);
  const readOnly = useEditor((state) => state.readOnly);
  if (!isEmpty || readOnly) return null;
  return (
    <Panel position="top-center" style={{ top: "28%" }}>
      <Stack align="center" gap="xs" maw={380}>
        <Text fw={600} size="lg">
          This flow is empty
        </Text>
        <Text size="sm" c="var(--quiet)" ta="center">
          Start with a trigger: a schedule, a webhook, or a manual start.
        </Text>
        <Button
          size="md"
          leftSection={<IconPlus size={18} aria-hidden />}
          onClick={(event) => {
            const box = event.currentTarget.getBoundingClientRect();
            useUi.getState().set({ quick: { screen: { x: box.left, y: box.top }, where: {} } });
          }}
        >
          Add first node
        </Button>
        <Text size="sm" c="var(--quiet)" ta="center">
          You can also press <Kbd>/</Kbd>, double-click anywhere, or paste nodes or a cURL command with{" "}
          <Kbd>Ctrl + V</Kbd>.
        </Text>
      </Stack>
    </Panel>
  );
}
