import { type Diagnostic, linter } from "@codemirror/lint";
import { Box, Text } from "@mantine/core";
import { useEffect, useMemo, useRef, useState } from "react";
import { isSame } from "@/definition/diff";
import { parseDefinition } from "@/definition/read";
import type { Definition } from "@/definition/types";
import { CodeEditor } from "@/ui/CodeEditor";
import { messageOf } from "@/ui/states";
import { loadTidied } from "./changes";
import { useEditor, useEditorStore } from "./context";
import { markedIn } from "./jsonPlaces";

const textOf = (definition: Definition) => JSON.stringify(definition, null, 2);

/**
 * The JSON text, updated by the canvas. An edit updates the flow once the text is a valid definition, as one undo step.
 */
export default function JsonText() {
  const store = useEditorStore();
  const definition = useEditor((state) => state.definition);
  const check = useEditor((state) => state.check);
  const readOnly = useEditor((state) => state.readOnly);
  const [text, setText] = useState(() => textOf(definition));
  const [refusal, setRefusal] = useState<string | null>(null);
  const typed = useRef<Definition>(definition);
  // A flow that is pasted here may have no positions.
  useEffect(() => void loadTidied().catch(() => undefined), []);

  useEffect(() => {
    if (definition === typed.current || isSame(definition, typed.current)) return;
    typed.current = definition;
    setText(textOf(definition));
    setRefusal(null);
  }, [definition]);

  function type(next: string) {
    setText(next);
    try {
      const read = parseDefinition(next);
      setRefusal(null);
      typed.current = read;
      if (!isSame(read, store.getState().definition)) store.getState().replaceDefinition(read, "edit JSON", "JSON");
    } catch (error) {
      setRefusal(messageOf(error));
    }
  }

  const lint = useMemo(
    () =>
      linter(
        (view): Diagnostic[] => {
          const length = view.state.doc.length;
          return markedIn(view.state.doc.toString(), check?.problems ?? []).map((mark) => ({
            ...mark,
            to: Math.min(mark.to, length),
          }));
        },
        { delay: 200 },
      ),
    [check],
  );

  return (
    <Box flex={1} mih={0} px="sm" pb="sm" style={{ overflow: "auto" }}>
      <CodeEditor
        value={text}
        onChange={type}
        language="json"
        label="Flow as JSON"
        readOnly={readOnly}
        extensions={lint}
        maxHeight="calc(100dvh - 150px)"
      />
      {refusal !== null && (
        <Text size="sm" c="var(--failed)" mt={6} role="status">
          {refusal}. The canvas shows the last valid state.
        </Text>
      )}
    </Box>
  );
}
