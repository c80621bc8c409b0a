import {
  ActionIcon,
  Alert,
  Button,
  Code,
  CopyButton,
  Group,
  List,
  Stack,
  Text,
  Tooltip,
} from "@mantine/core";
import { IconCheck, IconCopy } from "@tabler/icons-react";
import type { FlowNode } from "@/definition/types";
import type { FieldSchema } from "@/forms/schema/types";
import { useEditor, useEditorStore } from "../context";
import { addressOf, propertiesOf } from "./starts";

/** Settings whose address a person enters in a service, with the steps there. */
type Told = FieldSchema & { "x-address"?: boolean; "x-steps"?: string[] };

/** Return a random path: `github/` and 24 hexadecimal digits. */
export function randomPath(type: string): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${type.replace(/_trigger$/, "")}/${digits}`;
}

/** Says what to enter where in the service of an app trigger, with the address to copy. */
export function ServiceSteps({ node }: { node: FlowNode }) {
  const store = useEditorStore();
  const catalogue = useEditor((state) => state.catalogue);
  const readOnly = useEditor((state) => state.readOnly);
  const properties = propertiesOf(catalogue, node.type);
  const [key, told] = Object.entries(properties).find(([, field]) => (field as Told)["x-address"]) ?? [];
  if (key === undefined) return null;
  const address = addressOf(node, properties);
  const url = address === null ? null : window.location.origin + address;
  const fill = () => store.getState().setConfig(node.id, { ...node.config, [key]: randomPath(node.type) });
  return (
    <Alert color="blue" variant="light" mx="md" mb="xs" p="xs" title="Set up in the service">
      <Stack gap={6}>
        {url === null ? (
          !readOnly && (
            <Button size="compact-xs" variant="default" onClick={fill} style={{ alignSelf: "flex-start" }}>
              Generate a random address
            </Button>
          )
        ) : (
          <Group gap={4} wrap="nowrap" align="flex-start">
            <Code style={{ overflowWrap: "anywhere" }}>{url}</Code>
            <CopyButton value={url}>
              {({ copied, copy }) => (
                <Tooltip label={copied ? "Copied" : "Copy the address"}>
                  <ActionIcon variant="subtle" size="sm" onClick={copy} aria-label="Copy the address">
                    {copied ? <IconCheck size={14} /> : <IconCopy size={14} />}
                  </ActionIcon>
                </Tooltip>
              )}
            </CopyButton>
          </Group>
        )}
        <List type="ordered" size="sm" spacing={2}>
          {((told as Told)["x-steps"] ?? []).map((step) => (
            <List.Item key={step}>
              <Text size="sm">{step}</Text>
            </List.Item>
          ))}
        </List>
      </Stack>
    </Alert>
  );
}
