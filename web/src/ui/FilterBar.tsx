import { Button, Group, Select } from "@mantine/core";
import { IconFilterOff } from "@tabler/icons-react";
import type { ReactNode } from "react";

interface FilterBarProps {
  children: ReactNode;
  /** True if a filter is set; then "Clear filters" is shown. */
  isSet: boolean;
  onClear: () => void;
}

/** The row of filters above a list. */
export function FilterBar({ children, isSet, onClear }: FilterBarProps) {
  return (
    <Group gap="xs" role="search" aria-label="Filters">
      {children}
      {isSet && (
        <Button
          variant="subtle"
          color="gray"
          c="var(--quiet)"
          px="xs"
          leftSection={<IconFilterOff size={16} aria-hidden />}
          onClick={onClear}
        >
          Clear filters
        </Button>
      )}
    </Group>
  );
}

interface FilterSelectProps {
  label: string;
  value: string;
  onChange: (value: string) => void;
  /** The options; the first stands for no filter. */
  options: readonly { value: string; label: string }[];
  width?: number;
  searchable?: boolean;
}

/** A filter with a few options. The label is for screen readers only, so each option must be clear without it. */
export function FilterSelect(props: FilterSelectProps) {
  const { label, value, onChange, options, width = 170, searchable = false } = props;
  return (
    <Select
      aria-label={label}
      data={options.map((option) => ({ ...option }))}
      value={value}
      onChange={(next) => onChange(next ?? "")}
      allowDeselect={false}
      searchable={searchable}
      w={{ base: "calc(50% - 5px)", sm: width }}
      checkIconPosition="right"
      maxDropdownHeight={340}
      comboboxProps={{ shadow: "md", position: "bottom-start" }}
      styles={{ dropdown: { minWidth: "max-content", maxWidth: "min(420px, 90vw)" } }}
    />
  );
}
