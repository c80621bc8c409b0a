import { Alert, Button, Group, Menu, Modal, SegmentedControl, Stack, Text } from "@mantine/core";
import { IconChevronDown } from "@tabler/icons-react";
import { Suspense, useEffect, useRef, useState } from "react";
import { ApiError, type Detail } from "@/api/client";
import type { Json } from "@/definition/types";
import type { FieldSchema } from "@/forms/schema/types";
import { initialOf, isRecord } from "@/forms/schema/values";
import { CodeEditor } from "@/ui/CodeEditor";
import { Form } from "@/ui/form";
import { lazily } from "@/ui/lazily";
import { Quiet } from "@/ui/Quiet";
import { Loading, Refused } from "@/ui/states";
import { Time } from "@/ui/Time";
import { briefOf, fetchWhole } from "../values";
import { type Asked, faultsInWords, faultsOfForm } from "./asked";
import { type Call, keepInput, lastInput, useLastCalls } from "./lastInput";

interface LastCallsProps {
  calls: readonly Call[];
  onChoose: (input: Json) => void;
  onRefused: (error: unknown) => void;
}

/** Offer the inputs of the last calls of the flow's webhook. Renders nothing if there were none. */
function LastCalls({ calls, onChoose, onRefused }: LastCallsProps) {
  if (calls.length === 0) return null;

  async function choose(call: Call) {
    try {
      onChoose((await fetchWhole(call.input)) as Json);
    } catch (error) {
      onRefused(error);
    }
  }

  return (
    <Menu position="bottom-start" shadow="md" width="target">
      <Menu.Target>
        <Button
          variant="default"
          fullWidth
          justify="space-between"
          rightSection={<IconChevronDown size={16} aria-hidden />}
        >
          Use input of a webhook call
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {calls.map((call) => (
          <Menu.Item key={call.id} onClick={() => void choose(call)}>
            <Text size="sm">
              <Time at={call.created_at} />
            </Text>
            <Quiet size="xs" truncate>
              {briefOf(call.input).text ?? "No input"}
            </Quiet>
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

const InputForm = lazily(() => import("./InputForm"));

interface InputDialogProps {
  flowId: string;
  title: string;
  asked: Asked;
  /** A hint about the input if there is no form. */
  hint: string;
  /** The initial input; by default the last input given. */
  initial?: Json;
  /** Why the server refused the last input. */
  refusal?: unknown;
  onClose: () => void;
  /** Start the run. Throws the server's error. */
  onRun: (input: Json) => Promise<void>;
}

type Read = { ok: true; value: Json } | { ok: false; problem: string };

function read(text: string): Read {
  if (text.trim() === "") return { ok: true, value: null };
  try {
    return { ok: true, value: JSON.parse(text) as Json };
  } catch (error) {
    return { ok: false, problem: error instanceof Error ? error.message : String(error) };
  }
}

function written(value: Json): string {
  return JSON.stringify(value, null, 2);
}

/** Return the problems of the input if the server refused it for that; else null. */
export function inputFaults(refusal: unknown): Detail[] | null {
  return refusal instanceof ApiError && refusal.status === 422 ? refusal.details : null;
}

/** Ask for the input of a run: with a form if the flow has an input schema, else as JSON. The input is kept. */
export function InputDialog(props: InputDialogProps) {
  const { flowId, title, asked, hint, initial, refusal, onClose, onRun } = props;
  const calls = useLastCalls(flowId);
  const { schema, description } = asked;
  const [first] = useState(() => written(schema === null ? {} : initialOf(schema as FieldSchema)));
  const [text, setText] = useState(() => (initial === undefined ? (lastInput(flowId) ?? first) : written(initial)));
  const [wanted, setWanted] = useState(schema === null ? "json" : "form");
  const [busy, setBusy] = useState(false);
  const [refused, setRefused] = useState<unknown>(refusal ?? null);
  const given = read(text);
  const form = given.ok && (isRecord(given.value) || given.value === null) ? (given.value ?? {}) : null;
  const kind = wanted === "form" && form !== null ? "form" : "json";

  async function submit() {
    if (!given.ok || busy) return;
    keepInput(flowId, given.value === null ? null : text);
    setBusy(true);
    setRefused(null);
    try {
      await onRun(given.value);
    } catch (error) {
      setRefused(error);
      setBusy(false);
    }
  }

  return (
    <Modal opened onClose={onClose} title={title} size="lg">
      <Form noValidate onSubmit={submit}>
        <Stack>
          {description !== "" && <Text style={{ whiteSpace: "pre-wrap" }}>{description}</Text>}
          {schema !== null && (
            <SegmentedControl
              aria-label="Input format"
              value={kind}
              onChange={setWanted}
              data={[
                { value: "form", label: "Form", disabled: form === null },
                { value: "json", label: "JSON" },
              ]}
            />
          )}
          {kind === "form" && schema !== null && form !== null ? (
            <FormOf schema={schema} value={form} refusal={refused} onChange={(value) => setText(written(value))} />
          ) : (
            <>
              <CodeEditor
                language="json"
                label="Input as JSON"
                value={text}
                onChange={setText}
                minHeight={160}
                maxHeight="50vh"
              />
              <Faults refusal={refused} />
            </>
          )}
          <LastCalls
            calls={calls}
            onChoose={(value) => {
              setText(written(value));
              setRefused(null);
            }}
            onRefused={setRefused}
          />
          {!given.ok && (
            <Alert color="red" variant="light" py="xs" role="alert">
              Invalid JSON: {given.problem}
            </Alert>
          )}
          <Group justify="space-between">
            <Quiet>{schema === null && hint}</Quiet>
            <Group gap="xs">
              {text !== first && (
                <Button variant="subtle" onClick={() => setText(first)}>
                  Reset
                </Button>
              )}
              <Button variant="default" onClick={onClose}>
                Cancel
              </Button>
              <Button type="submit" disabled={!given.ok} loading={busy}>
                Run
              </Button>
            </Group>
          </Group>
        </Stack>
      </Form>
    </Modal>
  );
}

interface FormOfProps {
  schema: Record<string, Json>;
  value: Record<string, Json>;
  refusal: unknown;
  onChange: (value: Record<string, Json>) => void;
}

/** The form. After a refusal the first invalid field gets the focus. */
function FormOf({ schema, value, refusal, onChange }: FormOfProps) {
  const place = useRef<HTMLDivElement>(null);
  const details = inputFaults(refusal);
  const faults = details === null ? null : faultsOfForm(details, schema);
  useEffect(() => {
    if (refusal === null) return;
    const wrong = place.current?.querySelector<HTMLElement>('[aria-invalid="true"]');
    wrong?.focus();
  }, [refusal]);
  return (
    <>
      <div ref={place}>
        <Suspense fallback={<Loading label="Loading the form" />}>
          <InputForm schema={schema} value={value} errors={faults?.errors} onChange={onChange} />
        </Suspense>
      </div>
      {faults === null ? <Faults refusal={refusal} /> : <Lines lines={faults.others} />}
    </>
  );
}

function Faults({ refusal }: { refusal: unknown }) {
  const details = inputFaults(refusal);
  if (details !== null) return <Lines lines={faultsInWords(details)} />;
  return refusal === null ? null : <Refused error={refusal} />;
}

function Lines({ lines }: { lines: readonly string[] }) {
  if (lines.length === 0) return null;
  return (
    <Alert color="red" variant="light" py="xs" role="alert" title="The input is not valid">
      {lines.map((line) => (
        <Text key={line} size="sm">
          {line}
        </Text>
      ))}
    </Alert>
  );
}
