import { Code, Input, Text, UnstyledButton } from "@mantine/core";
import { useEffect, useRef, useState } from "react";
import { isSame } from "@/definition/diff";
import type { Json } from "@/definition/types";
import { CodeEditor } from "@/ui/CodeEditor";
import classes from "./panel.module.css";

interface JsonFieldProps {
  label: string;
  hint?: string;
  value: Json;
  readOnly?: boolean;
  minHeight?: number;
  /** True to load the editor when the text is clicked. */
  folded?: boolean;
  /** Return the problem of a JSON value. */
  refusalOf?: (value: Json) => string | undefined;
  onChange: (value: Json) => void;
}

const textOf = (value: Json) => JSON.stringify(value, null, 2);

/** An editor for a JSON value. Invalid JSON stays in the editor and is not passed on. */
export function JsonField({
  label,
  hint,
  value,
  readOnly,
  minHeight = 80,
  folded = false,
  refusalOf,
  onChange,
}: JsonFieldProps) {
  const [text, setText] = useState(() => textOf(value));
  const [refusal, setRefusal] = useState<string | undefined>();
  const [open, setOpen] = useState(!folded);
  const typed = useRef<Json>(value);

  useEffect(() => {
    if (isSame(value, typed.current)) return;
    typed.current = value;
    setText(textOf(value));
    setRefusal(undefined);
  }, [value]);

  function type(next: string) {
    setText(next);
    try {
      const read = JSON.parse(next) as Json;
      const wrong = refusalOf?.(read);
      setRefusal(wrong);
      if (wrong !== undefined) return;
      typed.current = read;
      onChange(read);
    } catch (error) {
      setRefusal(`Invalid JSON: ${error instanceof Error ? error.message : error}`);
    }
  }

  return (
    <Input.Wrapper label={label} description={hint} labelElement="div">
      {open ? (
        <CodeEditor
          value={text}
          onChange={type}
          language="json"
          label={label}
          readOnly={readOnly}
          minHeight={minHeight}
          autoFocus={folded}
        />
      ) : (
        <UnstyledButton
          className={classes.folded}
          aria-label={readOnly ? `Show ${label.toLowerCase()}` : `Edit ${label.toLowerCase()}`}
          onClick={() => setOpen(true)}
        >
          <Code block className={classes.wrapped}>
            {text}
          </Code>
        </UnstyledButton>
      )}
      {refusal !== undefined && (
        <Text size="xs" c="var(--failed)" mt={4} role="status">
          {refusal}
        </Text>
      )}
    </Input.Wrapper>
  );
}
