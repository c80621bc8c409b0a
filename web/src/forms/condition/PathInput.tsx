/** An input for an expression without braces, which offers the paths of the last run's data. */
import { Autocomplete, Group, Text } from "@mantine/core";
import { useMemo, useRef } from "react";
import { useActive, useForm } from "../context";
import { brief, pathText, type Scope } from "../expression/scope";
import { suggestionsOf } from "./suggest";
import { operandFault } from "./tokens";

interface PathInputProps {
  id: string;
  label: string;
  value: string;
  onChange: (text: string) => void;
  /** Called instead for a path of the list: it is complete, unlike a text being typed. */
  onChoose?: (text: string) => void;
  scope: Scope;
  placeholder?: string;
  autoFocus?: boolean;
}

/** A path that is dragged or pasted from elsewhere may have its braces. */
function withoutBraces(text: string): string {
  return /^\s*\{\{(.*)\}\}\s*$/s.exec(text)?.[1]?.trim() ?? text;
}

export function PathInput({
  id,
  label,
  value,
  onChange,
  onChoose,
  scope,
  placeholder,
  autoFocus,
}: PathInputProps) {
  const { readOnly } = useForm();
  const { activate } = useActive();
  const input = useRef<HTMLInputElement>(null);
  const chosen = useRef<string | null>(null);
  const known = useMemo(() => suggestionsOf(scope, scope.perItem), [scope]);
  const details = useMemo(() => new Map(known.map((one) => [one.text, brief(one.value, 24)])), [known]);
  const fault = value.trim() === "" ? undefined : operandFault(value);
  return (
    <Autocomplete
      ref={input}
      id={id}
      aria-label={label}
      data={readOnly ? [] : [...details.keys()]}
      limit={50}
      value={value}
      onOptionSubmit={(text) => {
        chosen.current = text;
      }}
      onChange={(text) => {
        const isChosen = chosen.current === text;
        chosen.current = null;
        if (isChosen && onChoose !== undefined) onChoose(text);
        else onChange(withoutBraces(text));
      }}
      onFocus={() => activate(id, (path) => onChange(pathText(path)))}
      placeholder={placeholder}
      error={fault}
      readOnly={readOnly}
      autoFocus={autoFocus}
      spellCheck={false}
      autoCapitalize="off"
      comboboxProps={{ withinPortal: true, width: "max-content", position: "bottom-start" }}
      styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)", fontSize: 13 } }}
      renderOption={({ option }) => (
        <Group gap="md" justify="space-between" wrap="nowrap" w="100%" maw={440}>
          <Text size="xs" ff="monospace" truncate>
            {option.value}
          </Text>
          <Text size="xs" c="var(--quiet)" truncate>
            {details.get(option.value)}
          </Text>
        </Group>
      )}
    />
  );
}
