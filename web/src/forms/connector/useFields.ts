/** Read the fields of an object from the source that a setting names: a service, a table or a flow. */
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { server } from "@/api/client";
import { loadChoices } from "@/api/connectors";
import { parseDefinition } from "@/definition/read";
import type { Json } from "@/definition/types";
import { askedOf as inputOf } from "@/runs/input/asked";
import { useSettings } from "../context";
import { askedOf, isEmpty } from "../options/choices";
import type { FieldSource, OptionsSource } from "../schema/types";
import { holdsExpression } from "../schema/values";
import { type Described, describedBy, describedIn, type Field, fieldOf } from "./fields";
import { useFormConnector } from "./operations";

const STALE = 5 * 60_000;
/** Milliseconds after the last keystroke in a setting until the source is asked. */
const PAUSE = 400;

type Config = Record<string, Json>;

/** A request for fields, or why there is none; without both the setting has no fields. */
interface Asking {
  key?: readonly Json[];
  load?: (signal: AbortSignal) => Promise<{ items: Described[]; truncated: boolean }>;
  reason?: string;
  /** The name of the source. */
  name: string;
  /** The thing that has the fields. */
  of: string;
  empty?: string;
}

async function loadColumns(table: string, signal: AbortSignal) {
  const { data } = await server.GET("/api/tables", { signal });
  const found = data?.items.find((one) => one.name === table);
  return { items: describedBy(found?.columns ?? []), truncated: false };
}

async function loadInput(flow: string, signal: AbortSignal) {
  const { data } = await server.GET("/api/workflows/{flow}", { params: { path: { flow } }, signal });
  return { items: describedIn(inputOf(parseDefinition(data?.definition_json ?? "")).schema), truncated: false };
}

const OWN = {
  table: { load: loadColumns, of: "table", empty: "The workspace has no such table yet, or the table has no columns." },
  workflow: {
    load: loadInput,
    of: "flow",
    empty: "The flow does not describe its input. Give its start node an input schema.",
  },
};

function askWorkspace({ setting, when = {} }: Exclude<FieldSource, OptionsSource>, config: Config, names = ""): Asking {
  const own = OWN[names as keyof typeof OWN];
  const value = config[setting];
  const isMeant = Object.entries(when).every(([key, values]) => values.includes(String(config[key])));
  if (own === undefined || !isMeant || typeof value !== "string" || isEmpty(value) || holdsExpression(value)) {
    return { name: "", of: "" };
  }
  return {
    key: [names, value],
    load: (signal) => own.load(value, signal),
    name: "the server",
    of: own.of,
    empty: own.empty,
  };
}

function useAsking(name: string, source: FieldSource): Asking {
  const form = useFormConnector();
  const { schema, value: config } = useSettings();
  if ("setting" in source) return askWorkspace(source, config, schema.properties?.[source.setting]?.["x-names"]);
  const { type = "", auth = [], service } = form?.connector ?? {};
  const about = { name: service?.name ?? "the service", of: source.of ?? "service", empty: source.empty };
  if (form === null) return about;
  const asked = askedOf(source, config, auth.length > 0, schema);
  if ("reason" in asked) return { ...about, reason: asked.reason };
  const body = { operation: form.operation, input: name, config: asked.config };
  return { ...about, key: [type, body], load: (signal) => loadChoices(type, body, signal) };
}

export interface Fields extends Pick<Asking, "name" | "of" | "empty" | "reason"> {
  /** Undefined while they are unknown. */
  fields: Field[] | undefined;
  /** True if there are more fields than were read. */
  truncated: boolean;
  error: unknown;
  isLoading: boolean;
  refresh: () => void;
}

export function useFields(name: string, source: FieldSource): Fields {
  const { key, load, ...about } = useAsking(name, source);
  const text = JSON.stringify(key ?? null);
  const [asked] = useDebouncedValue(text, PAUSE);
  const { data, error, isFetching, refetch } = useQuery({
    queryKey: ["fields", text],
    queryFn: ({ signal }) => load?.(signal) ?? { items: [], truncated: false },
    enabled: load !== undefined && asked === text,
    staleTime: STALE,
    retry: false,
  });
  const fields = useMemo(() => data?.items.map(fieldOf), [data]);
  return {
    ...about,
    fields: load === undefined ? undefined : fields,
    truncated: data?.truncated ?? false,
    error: load === undefined ? null : error,
    isLoading: load !== undefined && (isFetching || asked !== text),
    refresh: () => void refetch(),
  };
}
