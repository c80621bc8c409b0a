import { Alert, Button, Group, Modal, SegmentedControl, Stack, Text } from "@mantine/core";
import { Suspense, useState } from "react";
import type { Json } from "@/definition/types";
import { CodeEditor } from "@/ui/CodeEditor";
import { lazily } from "@/ui/lazily";
import { Loading } from "@/ui/states";
import { useEditor } from "../context";
import { keepInput, lastInput } from "./runStore";
import { inputSchemaOf } from "./starting";

const SchemaForm = lazily(() =>
  import("@/forms/SchemaForm").then((found) => ({ default: found.SchemaForm })),
);

interface InputDialogProps {
  until: string | undefined;
  onClose: () => void;
  onRun: (input: Json) => void;
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

function isRecord(value: Json): value is Record<string, Json> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Asks for the input of a run: by a form where the flow says what it takes, else as JSON. What was given is kept. */
export function InputDialog({ until, onClose, onRun }: InputDialogProps) {
  const flowId = useEditor((state) => state.flow.id);
  const definition = useEditor((state) => state.definition);
  const [schema] = useState(() => inputSchemaOf(definition));
  const [text, setText] = useState(() => lastInput(flowId) ?? "{}");
  const [wanted, setWanted] = useState(schema === null ? "json" : "form");
  const given = read(text);
  const form = given.ok && (isRecord(given.value) || given.value === null) ? (given.value ?? {}) : null;
  const kind = wanted === "form" && form !== null ? "form" : "json";

  function submit() {
    if (!given.ok) return;
    keepInput(flowId, given.value === null ? null : text);
    onRun(given.value);
  }

  return (
    <Modal
      opened
      onClose={onClose}
      title={until === undefined ? "Run with input" : `Run up to “${until}” with input`}
      size="lg"
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <Stack>
          {schema !== null && (
            <SegmentedControl
              aria-label="How to give the input"
              value={kind}
              onChange={setWanted}
              data={[
                { value: "form", label: "Form", disabled: form === null },
                { value: "json", label: "JSON" },
              ]}
            />
          )}
          {kind === "form" && schema !== null && form !== null ? (
            <Suspense fallback={<Loading label="Loading the form" />}>
              <SchemaForm
                schema={schema}
                value={form}
                plain
                onChange={(value) => setText(JSON.stringify(value, null, 2))}
              />
            </Suspense>
          ) : (
            <CodeEditor
              language="json"
              label="Input as JSON"
              value={text}
              onChange={setText}
              minHeight={160}
              maxHeight="50vh"
            />
          )}
          {!given.ok && (
            <Alert color="red" variant="light" py="xs" role="alert">
              This is no JSON: {given.problem}
            </Alert>
          )}
          <Group justify="space-between">
            <Text size="sm" c="var(--quiet)">
              Expressions read it as input and trigger.
            </Text>
            <Group gap="xs">
              <Button variant="default" onClick={onClose}>
                Cancel
              </Button>
              <Button type="submit" disabled={!given.ok}>
                Run
              </Button>
            </Group>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
