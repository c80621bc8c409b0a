import { Between } from "@/ui/Between";
import { FilterBar, FilterSelect } from "@/ui/FilterBar";
import { FlowSelect } from "@/ui/FlowSelect";
import { SavedFilters } from "@/ui/SavedFilters";
import { SearchInput } from "@/ui/SearchInput";
import type { QueryState } from "@/ui/useQueryState";
import {
  DEFAULTS,
  ERROR_OPTIONS,
  type Filters,
  OUTCOME_OPTIONS,
  RANGE_OPTIONS,
  rangeOf,
  TRIGGER_OPTIONS,
} from "./filters";

type State = QueryState<keyof Filters>;

export function RunFilters({ state }: { state: State }) {
  const { values, change, isSet, clear } = state;
  const range = rangeOf(values);
  return (
    <FilterBar isSet={isSet} onClear={clear}>
      <SearchInput
        label="Search flow, error or run id"
        value={values.search}
        onChange={(search) => change({ search }, { replace: true })}
      />
      <SearchInput
        label="Search in run data"
        value={values.data}
        onChange={(data) => change({ data }, { replace: true })}
        hasKey={false}
        pause={600}
      />
      <FilterSelect
        label="Status"
        value={values.outcome}
        options={OUTCOME_OPTIONS}
        onChange={(outcome) => change({ outcome })}
        width={180}
      />
      <FlowSelect value={values.flow} onChange={(flow) => change({ flow })} />
      <FilterSelect
        label="Trigger"
        value={values.triggered_by}
        options={TRIGGER_OPTIONS}
        onChange={(triggered_by) => change({ triggered_by })}
        width={140}
      />
      <FilterSelect
        label="Error"
        value={values.error_kind}
        options={ERROR_OPTIONS}
        onChange={(error_kind) => change({ error_kind })}
        width={160}
      />
      <FilterSelect
        label="Time"
        value={range}
        options={RANGE_OPTIONS}
        onChange={(next) => change({ range: next, since: "", until: "" })}
        width={160}
      />
      {range === "custom" && <Between since={values.since} until={values.until} onChange={change} />}
      <SavedFilters page="runs" state={state} defaults={DEFAULTS} />
    </FilterBar>
  );
}
