import { TextInput } from "@mantine/core";
import { useMemo } from "react";
import { api } from "@/api/client";
import { FilterBar, FilterSelect } from "@/ui/FilterBar";
import { SearchInput } from "@/ui/SearchInput";
import type { QueryState } from "@/ui/useQueryState";
import { type Filters, OUTCOME_OPTIONS, RANGE_OPTIONS, rangeOf, TRIGGER_OPTIONS } from "./filters";

type State = QueryState<keyof Filters>;

/** The flows that can be chosen; the one that the address names is among them even where the list ends before it. */
function useFlowOptions(chosen: string) {
  const { data } = api.useQuery(
    "get",
    "/api/flows",
    { params: { query: { limit: 200 } } },
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

export function RunFilters({ state }: { state: State }) {
  const { values, change, isSet, clear } = state;
  const flows = useFlowOptions(values.workflow_id);
  const range = rangeOf(values);
  return (
    <FilterBar isSet={isSet} onClear={clear}>
      <SearchInput
        label="Search flow, error or run id"
        value={values.search}
        onChange={(search) => change({ search }, { replace: true })}
      />
      <FilterSelect
        label="Outcome"
        value={values.outcome}
        options={OUTCOME_OPTIONS}
        onChange={(outcome) => change({ outcome })}
        width={190}
      />
      <FilterSelect
        label="Flow"
        value={values.workflow_id}
        options={flows}
        onChange={(workflow_id) => change({ workflow_id })}
        searchable
        width={190}
      />
      <FilterSelect
        label="Trigger"
        value={values.triggered_by}
        options={TRIGGER_OPTIONS}
        onChange={(triggered_by) => change({ triggered_by })}
        width={140}
      />
      <FilterSelect
        label="Time"
        value={range}
        options={RANGE_OPTIONS}
        onChange={(next) => change({ range: next, since: "", until: "" })}
      />
      {range === "custom" && <Between state={state} />}
    </FilterBar>
  );
}

function Between({ state: { values, change } }: { state: State }) {
  return (
    <>
      <TextInput
        type="datetime-local"
        aria-label="From"
        value={values.since}
        onChange={(event) => change({ since: event.currentTarget.value }, { replace: true })}
      />
      <TextInput
        type="datetime-local"
        aria-label="Until"
        value={values.until}
        onChange={(event) => change({ until: event.currentTarget.value }, { replace: true })}
      />
    </>
  );
}
