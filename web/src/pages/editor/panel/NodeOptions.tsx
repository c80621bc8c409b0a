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
  { value: "fail", label: "The run fails" },
  { value: "continue", label: "The run goes on, with the error as output" },
  { value: "branch", label: "The run goes on by the branch “error”" },
];
const ON_INTERRUPT = [
  { value: "retry", label: "Run the node again" },
  { value: "fail", label: "Fail: it must not happen twice" },
];

function asNumber(value: string | number): number | undefined {
  return typeof value === "number" ? value : undefined;
}

function Foreach({ node, readOnly, onPatch }: OptionsProps) {
  if (node.foreach !== undefined && typeof node.foreach !== "string") {
    return (
      <JsonField
        label="For each item of"
        value={node.foreach}
        readOnly={readOnly}
        onChange={(foreach) => onPatch({ foreach })}
      />
    );
  }
  return (
    <TextInput
      label="For each item of"
      description="A list: the node runs once for each item, which is called item in its settings"
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
    <Fieldset legend="Tries, when it fails" p="sm">
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
          label="Pause (s)"
          placeholder="1"
          min={0}
          max={3600}
          value={node.retry?.delay ?? ""}
          readOnly={readOnly}
          onChange={(value) => patch({ delay: asNumber(value) })}
        />
        <NumberInput
          label="Factor"
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

/** How a node runs, whatever its type: for each item, again after a failure, for how long. */
export function NodeOptions(props: OptionsProps) {
  const { node, readOnly, onPatch } = props;
  return (
    <Stack gap="md">
      <Switch
        label="Switched off"
        description="The run passes over it, and its input goes on"
        checked={node.disabled ?? false}
        disabled={readOnly}
        onChange={(event) => onPatch({ disabled: event.currentTarget.checked || undefined })}
      />
      <Foreach {...props} />
      <RetryFields {...props} />
      <NumberInput
        label="Seconds until it fails"
        placeholder="No limit of its own"
        min={0.001}
        max={86_400}
        value={node.timeout ?? ""}
        readOnly={readOnly}
        onChange={(value) => onPatch({ timeout: asNumber(value) })}
      />
      <Select
        label="When it fails for good"
        data={ON_ERROR}
        allowDeselect={false}
        value={node.on_error ?? "fail"}
        disabled={readOnly}
        onChange={(value) =>
          onPatch({ on_error: value === "fail" ? undefined : (value as FlowNode["on_error"]) })
        }
      />
      <Select
        label="When the server stops in the middle of it"
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
