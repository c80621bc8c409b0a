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

/** Settings of a loop: how many items at once, and the seconds between them. */
function LoopFields({ node, readOnly, onPatch }: OptionsProps) {
  return (
    <SimpleGrid cols={2} spacing="xs">
      <NumberInput
        label="Items at once"
        placeholder="1"
        min={1}
        max={100}
        allowDecimal={false}
        value={node.concurrency ?? ""}
        readOnly={readOnly}
        onChange={(value) => onPatch({ concurrency: asNumber(value) })}
      />
      <NumberInput
        label="Pause (s)"
        placeholder="0"
        min={0}
        max={86_400}
        value={node.delay ?? ""}
        readOnly={readOnly}
        onChange={(value) => onPatch({ delay: asNumber(value) })}
      />
    </SimpleGrid>
  );
}

/** Return the parts that are set; undefined if there are none. */
function setParts<T extends object>(whole: T | undefined, part: Partial<T>): T | undefined {
  const entries = Object.entries({ ...whole, ...part }).filter(([, value]) => value !== undefined);
  return entries.length === 0 ? undefined : (Object.fromEntries(entries) as T);
}

function RepeatFields({ node, readOnly, onPatch }: OptionsProps) {
  const { repeat } = node;
  function patch(part: Partial<NonNullable<FlowNode["repeat"]>>) {
    onPatch({ repeat: part.until === undefined && "until" in part ? undefined : setParts(repeat, part) });
  }
  return (
    <Fieldset legend="Repeat until" p="sm">
      <Stack gap="xs">
        <TextInput
          label="Condition"
          description="The node runs again until this is true. It can use output, and round: 1, 2, and so on."
          placeholder="{{ output.status == 'done' }}"
          value={repeat?.until ?? ""}
          readOnly={readOnly}
          onChange={(event) => patch({ until: event.currentTarget.value || undefined })}
        />
        {repeat !== undefined && (
          <SimpleGrid cols={2} spacing="xs">
            <NumberInput
              label="Every (s)"
              placeholder="10"
              min={0}
              max={86_400}
              value={repeat.every ?? ""}
              readOnly={readOnly}
              onChange={(value) => patch({ every: asNumber(value) })}
            />
            <NumberInput
              label="Max rounds"
              placeholder="100"
              min={1}
              max={10_000}
              allowDecimal={false}
              value={repeat.at_most ?? ""}
              readOnly={readOnly}
              onChange={(value) => patch({ at_most: asNumber(value) })}
            />
            <NumberInput
              label="Max time (s)"
              description="From the first round on, over all pauses. Then the node fails."
              placeholder="No limit"
              min={0.001}
              max={2_592_000}
              value={repeat.for_at_most ?? ""}
              readOnly={readOnly}
              onChange={(value) => patch({ for_at_most: asNumber(value) })}
              style={{ gridColumn: "1 / -1" }}
            />
          </SimpleGrid>
        )}
      </Stack>
    </Fieldset>
  );
}

function RateFields({ node, readOnly, onPatch }: OptionsProps) {
  const { rate } = node;
  function patch(part: Partial<NonNullable<FlowNode["rate"]>>) {
    onPatch({ rate: part.calls === undefined && "calls" in part ? undefined : setParts(rate, part) });
  }
  return (
    <Fieldset legend="Rate limit" p="sm">
      <SimpleGrid cols={rate === undefined ? 1 : 2} spacing="xs">
        <NumberInput
          label="Calls"
          placeholder="No limit"
          min={1}
          max={1_000_000}
          allowDecimal={false}
          value={rate?.calls ?? ""}
          readOnly={readOnly}
          onChange={(value) => patch({ calls: asNumber(value) })}
        />
        {rate !== undefined && (
          <NumberInput
            label="In (s)"
            placeholder="60"
            min={0.001}
            max={86_400}
            value={rate.per ?? ""}
            readOnly={readOnly}
            onChange={(value) => patch({ per: asNumber(value) })}
          />
        )}
      </SimpleGrid>
      {rate !== undefined && (
        <TextInput
          mt="xs"
          label="Shared by"
          description="Nodes of the workspace with the same name share the limit. Empty: this node alone."
          placeholder="api.example.com"
          value={rate.key ?? ""}
          readOnly={readOnly}
          onChange={(event) => patch({ key: event.currentTarget.value || undefined })}
        />
      )}
    </Fieldset>
  );
}

const KEEP = [
  { value: "last", label: "Input of the last call" },
  { value: "first", label: "Input of the first call" },
  { value: "all", label: "List of all calls" },
];

/** Calls of a trigger, or the entries and messages that it finds, start one run if they come within a window. */
function DebounceFields({ node, readOnly, onPatch }: OptionsProps) {
  const { debounce } = node;
  function patch(part: Partial<NonNullable<FlowNode["debounce"]>>) {
    const isOff = part.seconds === undefined && "seconds" in part;
    onPatch({ debounce: isOff ? undefined : setParts(debounce, part) });
  }
  return (
    <Fieldset legend="Collect calls (debounce)" p="sm">
      <Stack gap="xs">
        <NumberInput
          label="Seconds without a call"
          description="The run starts that long after the last call, entry or message."
          placeholder="Each one starts a run"
          min={0.1}
          max={86_400}
          value={debounce?.seconds ?? ""}
          readOnly={readOnly}
          onChange={(value) => patch({ seconds: asNumber(value) })}
        />
        {debounce !== undefined && (
          <>
            <TextInput
              label="Separate by"
              description="Calls with different values start different runs."
              placeholder="{{ input.body.id }}"
              value={debounce.key ?? ""}
              readOnly={readOnly}
              onChange={(event) => patch({ key: event.currentTarget.value || undefined })}
            />
            <Select
              label="Input of the run"
              data={KEEP}
              value={debounce.keep ?? "last"}
              disabled={readOnly}
              onChange={(value) => patch({ keep: value as NonNullable<FlowNode["debounce"]>["keep"] })}
            />
          </>
        )}
      </Stack>
    </Fieldset>
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

/** Settings of every node: loop, retry, timeout, error handling. `collects`: it may have a debounce. */
export function NodeOptions({ collects, ...props }: OptionsProps & { collects: boolean }) {
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
      {node.foreach !== undefined && <LoopFields {...props} />}
      {(collects || node.debounce !== undefined) && <DebounceFields {...props} />}
      <RepeatFields {...props} />
      <RateFields {...props} />
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
        value={node.on_error ?? "fail"}
        disabled={readOnly}
        onChange={(value) => onPatch({ on_error: value === "fail" ? undefined : (value as FlowNode["on_error"]) })}
      />
      <Select
        label="If interrupted by a restart"
        data={ON_INTERRUPT}
        value={node.on_interrupt ?? "retry"}
        disabled={readOnly}
        onChange={(value) =>
          onPatch({ on_interrupt: value === "retry" ? undefined : (value as FlowNode["on_interrupt"]) })
        }
      />
    </Stack>
  );
}
