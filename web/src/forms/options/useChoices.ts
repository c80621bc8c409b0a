/** The choices of an input, with a search. They are read each time the list is opened, if they are not recent. */
import { useCombobox } from "@mantine/core";
import { type QueryKey, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { Choice, Choices } from "@/api/connectors";
import { filtered, labelIn } from "./choices";

const MAX_SHOWN = 200;

/** Where the choices come from. */
export interface Source {
  key: QueryKey;
  load: (signal: AbortSignal) => Promise<Choices>;
  /** How long choices stay recent, in milliseconds. */
  staleTime: number;
  /** The name of the source. */
  name: string;
  /** The reason why no request can be made. */
  reason?: string;
  /** The text if there are no choices. */
  empty?: string;
}

export interface Options {
  box: ReturnType<typeof useCombobox>;
  search: string;
  setSearch: (search: string) => void;
  /** The choices that the search finds. */
  shown: Choice[];
  /** True if the source has more choices. */
  truncated: boolean;
  /** The reason for having no choices. */
  reason?: string;
  error: unknown;
  retry: () => void;
  isLoading: boolean;
  /** The name of the source. */
  source: string;
  /** Return the label of a value, if it is known and says more. */
  labelOf: (value: string) => string | undefined;
}

/** `sourceOf` gets the text of the search, for sources that must be asked for a part. */
export function useChoices(sourceOf: (search: string) => Source): Options {
  const [search, setSearch] = useState("");
  const box = useCombobox({
    onDropdownClose: () => {
      box.resetSelectedOption();
      setSearch("");
    },
    onDropdownOpen: () => box.focusSearchInput(),
  });
  const { key, load, staleTime, name, reason, empty } = sourceOf(search);
  const { data, error, isFetching, refetch } = useQuery({
    queryKey: key,
    queryFn: ({ signal }) => load(signal),
    enabled: box.dropdownOpened && reason === undefined,
    staleTime,
    retry: false,
  });
  const items = data?.items ?? [];
  return {
    box,
    search,
    setSearch,
    shown: filtered(items, search).slice(0, MAX_SHOWN),
    truncated: data?.truncated ?? false,
    reason: reason ?? (data !== undefined && items.length === 0 && search === "" ? empty : undefined),
    error,
    retry: () => void refetch(),
    isLoading: isFetching && data === undefined,
    source: name,
    labelOf: (value) => labelIn(items, value),
  };
}
