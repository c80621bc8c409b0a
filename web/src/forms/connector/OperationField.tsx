/** The operation of a connector's node: a list in groups, with a search. */

import type { ComboboxItem, OptionsFilter } from "@mantine/core";
import { Select, Text } from "@mantine/core";
import { useMemo } from "react";
import { describedBy, FieldFrame } from "../fields/FieldFrame";
import { byGroup, type Described, matches } from "./operations";

interface OperationFieldProps {
  id: string;
  label: string;
  isTrigger: boolean;
  operations: readonly Described[];
  value: string;
  onChange: (id: string) => void;
  problems: readonly string[];
  readOnly: boolean;
}

export function OperationField(props: OperationFieldProps) {
  const { id, label, isTrigger, operations, value, onChange, problems, readOnly } = props;
  const byId = useMemo(() => new Map(operations.map((one) => [one.id, one])), [operations]);
  const data = useMemo(() => {
    const known = byGroup(operations).map(({ group, items }) => ({
      group,
      items: items.map((one) => ({ value: one.id, label: one.name })),
    }));
    const isForeign = value !== "" && !byId.has(value);
    return isForeign ? [...known, { group: "Unknown", items: [{ value, label: value }] }] : known;
  }, [operations, byId, value]);
  const filter: OptionsFilter = ({ options, search }) => {
    const isFound = (item: ComboboxItem) => {
      const one = byId.get(item.value);
      return one !== undefined && matches(one, search);
    };
    return options
      .map((one) =>
        "group" in one ? { ...one, items: one.items.filter((item) => isFound(item as ComboboxItem)) } : one,
      )
      .filter((one) => ("group" in one ? one.items.length > 0 : isFound(one)));
  };
  return (
    <FieldFrame id={id} label={label} required problems={problems}>
      <Select
        id={id}
        data={data}
        value={value === "" ? null : value}
        onChange={(next) => next !== null && onChange(next)}
        allowDeselect={false}
        searchable
        filter={filter}
        placeholder={isTrigger ? "Choose an event" : "Choose an operation"}
        nothingFoundMessage="No match"
        maxDropdownHeight={360}
        readOnly={readOnly}
        error={problems.length > 0}
        aria-required
        aria-describedby={describedBy(id, "", problems)}
        comboboxProps={{ withinPortal: true }}
        renderOption={({ option }) => (
          <div>
            <Text size="sm">{option.label}</Text>
            {byId.get(option.value)?.description && (
              <Text size="xs" c="var(--quiet)">
                {byId.get(option.value)?.description}
              </Text>
            )}
          </div>
        )}
      />
    </FieldFrame>
  );
}
