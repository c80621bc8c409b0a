import { ActionIcon, Button, Group, Select, Stack, TextInput } from "@mantine/core";
import { IconFilter, IconX } from "@tabler/icons-react";
import { useEffect, useState } from "react";
import { type Column, type Condition, needsValue, operatorsOf } from "./cells";

const PAUSE = 300;

interface ConditionsProps {
  columns: Column[];
  value: Condition[];
  onChange: (conditions: Condition[]) => void;
}

/** Filters of rows: column, operator and value each; all of them must hold. */
export function Conditions({ columns, value, onChange }: ConditionsProps) {
  function add() {
    const [first] = columns;
    if (first === undefined) return;
    const operator = operatorsOf(first.type)[0]?.value ?? "eq";
    onChange([...value, { column: first.name, operator, value: "" }]);
  }
  return (
    <Stack gap="xs">
      {value.map((condition, at) => (
        <One
          // biome-ignore lint/suspicious/noArrayIndexKey: conditions have no id, and are added at the end
          key={at}
          columns={columns}
          condition={condition}
          onChange={(next) => onChange(value.map((one, place) => (place === at ? next : one)))}
          onRemove={() => onChange(value.filter((_, place) => place !== at))}
        />
      ))}
      <Group>
        <Button
          variant="default"
          leftSection={<IconFilter size={16} aria-hidden />}
          onClick={add}
          disabled={columns.length === 0 || value.length >= 20}
        >
          Add filter
        </Button>
      </Group>
    </Stack>
  );
}

interface OneProps {
  columns: Column[];
  condition: Condition;
  onChange: (condition: Condition) => void;
  onRemove: () => void;
}

function One({ columns, condition, onChange, onRemove }: OneProps) {
  const kind = columns.find(({ name }) => name === condition.column)?.type ?? "text";
  const operators = operatorsOf(kind);
  const [text, setText] = useState(condition.value);
  // Typed text takes effect after a pause.
  useEffect(() => {
    if (text === condition.value) return;
    const timer = setTimeout(() => onChange({ ...condition, value: text }), PAUSE);
    return () => clearTimeout(timer);
  }, [text, condition, onChange]);

  function chooseColumn(name: string) {
    const next = operatorsOf(columns.find((column) => column.name === name)?.type ?? "text");
    const operator = next.some(({ value }) => value === condition.operator)
      ? condition.operator
      : next[0]?.value;
    onChange({ ...condition, column: name, operator: operator ?? "eq" });
  }

  return (
    <Group gap="xs" wrap="wrap">
      <Select
        aria-label="Column"
        data={columns.map(({ name }) => name)}
        value={condition.column}
        allowDeselect={false}
        onChange={(name) => name !== null && chooseColumn(name)}
        w={150}
      />
      <Select
        aria-label="Operator"
        data={operators}
        value={condition.operator}
        allowDeselect={false}
        onChange={(operator) => operator !== null && onChange({ ...condition, operator })}
        w={150}
      />
      {needsValue(condition.operator) &&
        (kind === "boolean" ? (
          <Select
            aria-label="Value"
            data={[
              { value: "true", label: "Yes" },
              { value: "false", label: "No" },
            ]}
            value={text || null}
            onChange={(next) => setText(next ?? "")}
            w={120}
          />
        ) : (
          <TextInput
            aria-label="Value"
            placeholder={kind === "date" ? "2026-01-31" : undefined}
            value={text}
            onChange={(event) => setText(event.currentTarget.value)}
            w={170}
          />
        ))}
      <ActionIcon variant="subtle" color="gray" aria-label="Remove filter" onClick={onRemove}>
        <IconX size={16} aria-hidden />
      </ActionIcon>
    </Group>
  );
}
