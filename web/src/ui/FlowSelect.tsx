import { useMemo } from "react";
import { api } from "@/api/client";
import { FilterSelect } from "./FilterBar";

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
  return (
    <FilterSelect label="Flow" value={value} options={options} onChange={onChange} searchable width={190} />
  );
}
