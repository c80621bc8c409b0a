/** The state of a list of choices with a search. */
import { useCombobox } from "@mantine/core";
import { useState } from "react";
import type { Choice } from "@/api/connectors";
import { filtered, labelIn } from "./choices";

const MAX_SHOWN = 200;

/** The choices, or why there are none. */
export interface Listed {
  items: readonly Choice[];
  /** True if there are more than these. */
  truncated: boolean;
  /** Why nothing can be listed. */
  reason?: string;
  error: unknown;
  isLoading: boolean;
  /** Who is asked. */
  source: string;
}

export interface Dropdown {
  box: ReturnType<typeof useCombobox>;
  search: string;
  setSearch: (search: string) => void;
  wasOpened: boolean;
}

export interface Options extends Dropdown, Listed {
  /** Those that the search finds. */
  shown: Choice[];
  /** Return the label of a value, if it is known and says more. */
  labelOf: (value: string) => string | undefined;
}

export function useDropdown(): Dropdown {
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
  return { box, search, setSearch, wasOpened };
}

export function withChoices(dropdown: Dropdown, listed: Listed): Options {
  return {
    ...dropdown,
    ...listed,
    shown: filtered(listed.items, dropdown.search).slice(0, MAX_SHOWN),
    labelOf: (value) => labelIn(listed.items, value),
  };
}
