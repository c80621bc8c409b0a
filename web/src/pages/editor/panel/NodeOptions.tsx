import { Fieldset, NumberInput, Select, SimpleGrid, Stack, Switch, TextInput } from "@mantine/core";
import type { FlowNode, Json } from "@/definition/types";
import type { Patch } from "../changes";
import { JsonField } from "./JsonField";

interface OptionsProps {
  node: FlowNode;
  readOnly: boolean;
  onPatch: (patch: Patch) => void;
}

const ON_ERROR = [
  { value: "fail", label: "Fail the run" },
  { value: "continue", label: "Continue with the error as output" },
  { value: "branch", label: "Continue at the branch “error”" },
];
const ON_INTERRUPT = [
  { value: "retry", label: "Run the node again" },
  { value: "fail", label: "Fail: must not run twice" },
];

function asNumber(value: string | number): number | undefined {
  return typeof value === "number" ? value : undefined;
}

function Foreach({ node, readOnly, onPatch }: OptionsProps) {
  if (node.foreach !== undefined && typeof node.foreach !== "string") {
    return (
      <JsonField
        label="Loop over items"
        value={node.foreach}
        readOnly={readOnly}
        onChange={(foreach) => onPatch({ foreach })}
      />
    );
  }
  return (
    <TextInput
      label="Loop over items"
      description="A list. The node runs once for each item, available as item in its settings."
      placeholder="{{ input.orders }}"
      value={node.foreach ?? ""}
      readOnly={readOnly}
      onChange={(event) => onPatch({ foreach: (event.currentTarget.value || undefined) as Json | undefined })}
    />
  );
}

function RetryFields({ node, readOnly, onPatch }: OptionsProps) {
  function patch(part: NonNullable<FlowNode["retry"]>) {
    const retry = Object.fromEntries(
      Object.entries({ ...node.retry, ...part }).filter(([, value]) => value !== undefined),
    ) as FlowNode["retry"];
    onPatch({ retry: Object.keys(retry ?? {}).length === 0 ? undefined : retry });
  }
  return (
    <Fieldset legend="Retry on failure" p="sm">
      <SimpleGrid cols={3} spacing="xs">
        <NumberInput
          label="Attempts"
          placeholder={node.retry === undefined ? "1" : "3"}
          min={1}
          max={20}
          allowDecimal={false}
          value={node.retry?.attempts ?? ""}
          readOnly={readOnly}
          onChange={(value) => patch({ attempts: asNumber(value) })}
        />
        <NumberInput
          label="Delay (s)"
          placeholder="1"
          min={0}
          max={3600}
          value={node.retry?.delay ?? ""}
          readOnly={readOnly}
          onChange={(value) => patch({ delay: asNumber(value) })}
        />
        <NumberInput
          label="Backoff"
          placeholder="2"
          min={1}
          max={10}
          value={node.retry?.backoff ?? ""}
          readOnly={readOnly}
          onChange={(value) => patch({ backoff: asNumber(value) })}
        />
      </SimpleGrid>
    </Fieldset>
  );
}

/** Settings of every node: loop, retry, timeout, error handling. */
export function NodeOptions(props: OptionsProps) {
  const { node, readOnly, onPatch } = props;
  return (
    <Stack gap="md">
      <Switch
        label="Disabled"
        description="Skipped, input passes through"
        checked={node.disabled ?? false}
        disabled={readOnly}
        onChange={(event) => onPatch({ disabled: event.currentTarget.checked || undefined })}
      />
      <Foreach {...props} />
      <RetryFields {...props} />
      <NumberInput
        label="Timeout (seconds)"
        placeholder="No timeout"
        min={0.001}
        max={86_400}
        value={node.timeout ?? ""}
        readOnly={readOnly}
        onChange={(value) => onPatch({ timeout: asNumber(value) })}
      />
      <Select
        label="On error"
        data={ON_ERROR}
        allowDeselect={false}
        value={node.on_error ?? "fail"}
        disabled={readOnly}
        onChange={(value) =>
          onPatch({ on_error: value === "fail" ? undefined : (value as FlowNode["on_error"]) })
        }
      />
      <Select
        label="If interrupted by a restart"
        data={ON_INTERRUPT}
        allowDeselect={false}
        value={node.on_interrupt ?? "retry"}
        disabled={readOnly}
        onChange={(value) =>
          onPatch({ on_interrupt: value === "retry" ? undefined : (value as FlowNode["on_interrupt"]) })
        }
      />
    </Stack>
  );
}
