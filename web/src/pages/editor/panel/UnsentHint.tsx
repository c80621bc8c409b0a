import { Alert, Button, Stack, Text } from "@mantine/core";
import { useMemo } from "react";
import type { FlowNode } from "@/definition/types";
import { useEditor, useEditorStore } from "../context";
import { respondingByNode, unsentBy } from "./responses";

/** Says that a webhook does not send the response of this node, with a button to correct it. */
export function UnsentHint({ node }: { node: FlowNode }) {
  const store = useEditorStore();
  const definition = useEditor((state) => state.definition);
  const catalogue = useEditor((state) => state.catalogue);
  const readOnly = useEditor((state) => state.readOnly);
  const unsent = useMemo(() => unsentBy(definition, catalogue, node), [definition, catalogue, node]);
  if (unsent.length === 0) return null;
  return (
    <Alert color="yellow" variant="light" mx="md" mb="xs" p="xs" role="status">
      {unsent.map((one) => (
        <Stack key={one.node.id} gap={6} align="flex-start">
          <Text size="sm">
            The response of this node is not sent: {one.title} of “{one.name}” is “{one.now}”.
          </Text>
          {!readOnly && (
            <Button
              size="compact-xs"
              variant="default"
              data-next="[data-panel] [role=tabpanel] :is(input, .cm-content)"
              onClick={() => store.getState().setConfig(one.node.id, respondingByNode(one))}
            >
              Respond by this node
            </Button>
          )}
        </Stack>
      ))}
    </Alert>
  );
}
