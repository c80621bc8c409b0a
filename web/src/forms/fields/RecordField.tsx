/** Another flow, or an agent, chosen by name; the value is its id. */
import { Select } from "@mantine/core";
import { api } from "@/api/client";
import { useForm } from "../context";
import { type InputProps, useShared } from "./shared";

interface Choice {
  value: string;
  label: string;
}

interface RecordSelectProps extends InputProps {
  choices: Choice[] | undefined;
  what: string;
}

function RecordSelect(props: RecordSelectProps) {
  const { leaf, value, onChange, choices, what } = props;
  const shared = useShared(props);
  const chosen = typeof value === "string" && value !== "" ? value : null;
  const known = choices ?? [];
  const isForeign = chosen !== null && !known.some((one) => one.value === chosen);
  const data = isForeign
    ? [...known, { value: chosen, label: choices ? `${chosen} (not found)` : chosen }]
    : known;
  return (
    <Select
      {...shared}
      data={data}
      value={chosen}
      onChange={(next) => onChange(next ?? undefined)}
      placeholder={`Select ${what}`}
      nothingFoundMessage="No match"
      searchable
      limit={100}
      clearable={!leaf.required}
      clearButtonProps={{ "aria-label": `Clear ${leaf.label}` }}
      comboboxProps={{ withinPortal: true }}
    />
  );
}

export function FlowField(props: InputProps) {
  const { expressions } = useForm();
  const { data } = api.useQuery(
    "get",
    "/api/flows",
    { params: { query: { limit: 100 } } },
    { staleTime: 30_000 },
  );
  const choices = data?.items
    .filter((flow) => flow.id !== expressions?.flowId && flow.status !== "archived")
    .map((flow) => ({ value: flow.id, label: flow.name }));
  return <RecordSelect {...props} choices={choices} what="flow" />;
}

export function AgentField(props: InputProps) {
  const { data } = api.useQuery("get", "/api/agents", {}, { staleTime: 30_000 });
  const choices = data?.items.map((agent) => ({ value: agent.id, label: agent.name }));
  return <RecordSelect {...props} choices={choices} what="agent" />;
}
