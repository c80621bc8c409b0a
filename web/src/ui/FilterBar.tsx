import { Group, Select, TextInput } from "@mantine/core";
import { IconFilterOff } from "@tabler/icons-react";
import { type ReactNode, useMemo } from "react";
import { api } from "@/api/client";
import { Button } from "@/ui/Button";

interface BetweenProps {
  /** A local time such as `2026-01-31T14:00`; empty for no limit. */
  since: string;
  until: string;
  onChange: (change: { since?: string; until?: string }, how: { replace: boolean }) => void;
}

// Wide enough for a date and time with the browser's button; Firefox needs more than Chromium.
const WIDTH = { base: "100%", sm: 250 };

/** The start and end of a time filter. Either may be empty. */
export function Between({ since, until, onChange }: BetweenProps) {
  return (
    <>
      <TextInput
        type="datetime-local"
        aria-label="From"
        w={WIDTH}
        value={since}
        max={until || undefined}
        onChange={(event) => onChange({ since: event.currentTarget.value }, { replace: true })}
      />
      <TextInput
        type="datetime-local"
        aria-label="Until"
        w={WIDTH}
        value={until}
        min={since || undefined}
        onChange={(event) => onChange({ until: event.currentTarget.value }, { replace: true })}
      />
    </>
  );
}

/** Return the flows to choose from, including the selected one even if it is beyond the end of the list. */
function useFlowOptions(chosen: string) {
  const { data } = api.useQuery(
    "get",
    "/api/flows",
    { params: { query: { limit: 200, brief: true, sort: "name" } } },
    { staleTime: 60_000 },
  );
  const isListed = data?.items.some((flow) => flow.id === chosen) ?? false;
  const other = api.useQuery(
    "get",
    "/api/workflows/{flow}",
    { params: { path: { flow: chosen } } },
    { enabled: chosen !== "" && data !== undefined && !isListed, staleTime: 60_000 },
  );
  return useMemo(() => {
    const flows = data?.items.map((flow) => ({ value: flow.id, label: flow.name })) ?? [];
    if (chosen !== "" && !isListed) flows.unshift({ value: chosen, label: other.data?.name ?? chosen });
    return [{ value: "", label: "Any flow" }, ...flows];
  }, [data, chosen, isListed, other.data]);
}

/** A list's filter by flow. */
export function FlowSelect({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const options = useFlowOptions(value);
  return <FilterSelect label="Flow" value={value} options={options} onChange={onChange} searchable width={190} />;
}

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
        <Button variant="subtle" color="gray" c="var(--quiet)" px="xs" icon={IconFilterOff} onClick={onClear}>
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
      searchable={searchable}
      w={{ base: "calc(50% - 5px)", sm: width }}
      checkIconPosition="right"
      maxDropdownHeight={340}
      comboboxProps={{ shadow: "md", position: "bottom-start" }}
      styles={{ dropdown: { minWidth: "max-content", maxWidth: "min(420px, 90vw)" } }}
    />
  );
}
