/** The addresses of a trigger that is called, with Copy, and what to enter where in its service. */

import { Code, Group, List, Stack, Text } from "@mantine/core";
import type { ReactNode } from "react";
import type { FlowNode } from "@/definition/types";
import type { FieldSchema } from "@/forms/schema/types";
import { Disclosure } from "@/ui/Disclosure";
import { CopyIcon } from "@/ui/IconButton";
import { Quiet } from "@/ui/Quiet";
import { useEditor } from "../context";
import { addressOf, propertiesOf, testAddressOf } from "./starts";

/** Settings whose address a person enters in a service, with the steps there. */
type Told = FieldSchema & { "x-address"?: boolean; "x-steps"?: string[] };

/** The address that starts the flow: that of the active flow, and that of tests. With steps, where to enter it. */
export default function Addresses({ node }: { node: FlowNode }) {
  const catalogue = useEditor((state) => state.catalogue);
  const { id, status } = useEditor((state) => state.flow);
  const properties = propertiesOf(catalogue, node.type);
  const address = addressOf(node, properties);
  const [, told] = Object.entries(properties).find(([, field]) => (field as Told)["x-address"]) ?? [];
  const steps = (told as Told | undefined)?.["x-steps"] ?? [];
  if (address === null || node.disabled) return null;
  const isActive = status === "active";
  const live = (
    <Address name="Live address" address={address}>
      {isActive ? "Active" : "Inactive: it answers once the flow is active"}
    </Address>
  );
  if (properties.account === undefined)
    return (
      <Stack gap={6} mx="md" mb="xs">
        {live}
        {told === undefined ? (
          <Address name="Test address" address={testAddressOf(id, address)}>
            While you listen for a test call
          </Address>
        ) : (
          <Steps steps={steps} />
        )}
      </Stack>
    );
  return (
    <Stack gap={6} mx="md" mb="xs">
      {node.config?.account !== undefined && (
        <Quiet>{isActive ? "The flow has added" : "Activate the flow: it adds"} the webhook in the service.</Quiet>
      )}
      <Disclosure title="Set up in the service yourself">
        {live}
        <Steps steps={steps} />
      </Disclosure>
    </Stack>
  );
}

function Address({ name, address, children }: { name: string; address: string; children: ReactNode }) {
  const url = window.location.origin + address;
  return (
    <div>
      <Quiet size="xs">
        <b>{name}</b> · {children}
      </Quiet>
      <Group gap={4} wrap="nowrap">
        <Code style={{ overflowWrap: "anywhere" }}>{url}</Code>
        <CopyIcon value={url} label={`Copy the ${name.toLowerCase()}`} tip="Copy" />
      </Group>
    </div>
  );
}

function Steps({ steps }: { steps: readonly string[] }) {
  return (
    <List type="ordered" size="sm" spacing={2} mt={4}>
      {steps.map((step) => (
        <List.Item key={step}>
          <Text size="sm">{step}</Text>
        </List.Item>
      ))}
    </List>
  );
}
