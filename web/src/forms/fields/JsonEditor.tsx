/** A value as JSON. Invalid JSON stays in the editor and is not written. */

import { Group, Text } from "@mantine/core";
import { IconMaximize } from "@tabler/icons-react";
import { Suspense, useRef, useState } from "react";
import type { Json } from "@/definition/types";
import { Button } from "@/ui/Button";
import { CodeEditor } from "@/ui/CodeEditor";
import type { Language } from "@/ui/code/CodeMirror";
import { lazily } from "@/ui/lazily";
import { useForm } from "../context";

// The button that opens the full-screen editor of code. The screen is loaded when it is first opened.

const CodeScreen = lazily(() => import("../code/CodeScreen"));

interface FullScreenProps {
  label: string;
  value: string;
  onChange: (text: string) => void;
  language: Language;
  /** The names that the code can read, as the catalog says. */
  names: readonly string[];
  problems: readonly string[];
}

export function FullScreen(props: FullScreenProps) {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <Group justify="flex-end" mt={4}>
        <Button
          size="compact-xs"
          variant="subtle"
          icon={IconMaximize}
          aria-label={`Full screen: ${props.label}`}
          onClick={() => setOpen(true)}
        >
          Full screen
        </Button>
      </Group>
      {isOpen && (
        <Suspense fallback={null}>
          <CodeScreen {...props} onClose={() => setOpen(false)} />
        </Suspense>
      )}
    </>
  );
}

interface JsonEditorProps {
  id: string;
  label: string;
  value: Json | undefined;
  onChange: (value: Json | undefined) => void;
  /** Return the problem of a value, if any. */
  accepts?: (value: Json) => string | undefined;
}

const NO_NAMES: readonly string[] = [];

function written(value: Json | undefined): string {
  return value === undefined ? "" : JSON.stringify(value, null, 2);
}

export function JsonEditor({ id, label, value, onChange, accepts }: JsonEditorProps) {
  const { readOnly } = useForm();
  const [text, setText] = useState(() => written(value));
  const [fault, setFault] = useState<string | null>(null);
  const told = useRef(JSON.stringify(value));
  const now = JSON.stringify(value);
  let shown = text;
  if (now !== told.current) {
    told.current = now;
    shown = written(value);
    setText(shown);
    setFault(null);
  }

  function read(next: string): { value: Json | undefined } | { fault: string } {
    if (next.trim() === "") return { value: undefined };
    try {
      const parsed = JSON.parse(next) as Json;
      const refused = accepts?.(parsed);
      return refused === undefined ? { value: parsed } : { fault: refused };
    } catch (error) {
      return { fault: `Invalid JSON: ${error instanceof Error ? error.message : error}` };
    }
  }

  function change(next: string) {
    setText(next);
    const outcome = read(next);
    setFault("fault" in outcome ? outcome.fault : null);
    if ("fault" in outcome) return;
    told.current = JSON.stringify(outcome.value);
    onChange(outcome.value);
  }

  return (
    <div id={id}>
      <CodeEditor
        value={shown}
        onChange={change}
        language="json"
        label={`${label}, as JSON`}
        readOnly={readOnly}
        minHeight={60}
        maxHeight="40vh"
      />
      {fault !== null && (
        <Text size="xs" c="var(--failed)" role="status">
          {fault}
        </Text>
      )}
      <FullScreen
        label={label}
        value={shown}
        onChange={change}
        language="json"
        names={NO_NAMES}
        problems={fault === null ? [] : [fault]}
      />
    </div>
  );
}
