/** The choices of an input and the state of their list. They are read when the list is opened first. */
import { useCombobox } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { type Choice, loadChoices, serviceName } from "@/api/connectors";
import { useFormConnector } from "../connector/context";
import { useSettings } from "../context";
import type { InputProps } from "../fields/shared";
import type { OptionsSource } from "../schema/types";
import { askedOf, filtered, labelIn, titlesIn } from "./choices";

const STALE = 60_000;
const MAX_SHOWN = 200;

export interface Options {
  box: ReturnType<typeof useCombobox>;
  search: string;
  setSearch: (search: string) => void;
  /** Those that the search finds. */
  shown: Choice[];
  /** Return the label of a value, if it is known and says more. */
  labelOf: (value: string) => string | undefined;
  truncated: boolean;
  /** Why nothing can be asked. */
  reason: string | undefined;
  error: unknown;
  isLoading: boolean;
  /** The name of the service that is asked. */
  service: string;
}

export function useOptions({ name }: InputProps, source: OptionsSource): Options {
  const form = useFormConnector();
  const { schema, value: config } = useSettings();
  const [search, setSearch] = useState("");
  const [wasOpened, setOpened] = useState(false);
  const box = useCombobox({
    onDropdownClose: () => {
      box.resetSelectedOption();
      setSearch("");
    },
    onDropdownOpen: () => {
      setOpened(true);
      box.focusSearchInput();
    },
  });
  const { type = "", auth = [] } = form?.connector ?? {};
  const operation = form?.operation ?? "";
  const ask = askedOf(source, config, auth.length > 0, titlesIn(schema));
  const asked = "config" in ask ? ask.config : null;
  const { data, error, isFetching, isError } = useQuery({
    queryKey: ["post", "/api/connectors", type, operation, name, asked],
    queryFn: ({ signal }) => loadChoices(type, { operation, input: name, config: asked ?? {} }, signal),
    // A list that was read already has the labels of the values.
    enabled: wasOpened && form !== null && asked !== null,
    staleTime: STALE,
    retry: false,
  });
  const items = data?.items ?? [];
  return {
    box,
    search,
    setSearch,
    shown: filtered(items, search).slice(0, MAX_SHOWN),
    labelOf: (value) => labelIn(items, value),
    truncated: data?.truncated ?? false,
    reason: "reason" in ask ? ask.reason : undefined,
    error,
    isLoading: isFetching && !isError,
    service: form === null ? "" : serviceName(form.connector),
  };
}
