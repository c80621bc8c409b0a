/** The choices of an input, which its service lists. They are read when the list is opened first. */
import { useQuery } from "@tanstack/react-query";
import { loadChoices } from "@/api/connectors";
import { useFormConnector } from "../connector/context";
import { useSettings } from "../context";
import type { InputProps } from "../fields/shared";
import type { OptionsSource } from "../schema/types";
import { askedOf, titlesIn } from "./choices";
import { type Options, useDropdown, withChoices } from "./useDropdown";

const STALE = 60_000;

export function useOptions({ name }: InputProps, source: OptionsSource): Options {
  const form = useFormConnector();
  const { schema, value: config } = useSettings();
  const dropdown = useDropdown();
  const { type = "", auth = [] } = form?.connector ?? {};
  const operation = form?.operation ?? "";
  const ask = askedOf(source, config, auth.length > 0, titlesIn(schema));
  const asked = "config" in ask ? ask.config : null;
  const { data, error, isFetching, isError } = useQuery({
    queryKey: ["post", "/api/connectors", type, operation, name, asked],
    queryFn: ({ signal }) => loadChoices(type, { operation, input: name, config: asked ?? {} }, signal),
    // A list that was read already has the labels of the values.
    enabled: dropdown.wasOpened && form !== null && asked !== null,
    staleTime: STALE,
    retry: false,
  });
  return withChoices(dropdown, {
    items: data?.items ?? [],
    truncated: data?.truncated ?? false,
    reason: "reason" in ask ? ask.reason : undefined,
    error,
    isLoading: isFetching && !isError,
    source: form === null ? "the service" : form.connector.service.name,
  });
}
