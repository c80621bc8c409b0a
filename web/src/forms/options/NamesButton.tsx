/** A button beside a text field: choose the name of something that the workspace has. */
import { Combobox } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useForm, useSettings } from "../context";
import type { InputProps } from "../fields/shared";
import { EMPTY, folderOf, type Names, reasonOf } from "./names";
import { OpenButton, OptionsList, PLACED } from "./OptionsList";
import { useDropdown, withChoices } from "./useDropdown";
import { LISTS } from "./workspaceNames";

export function NamesButton({ id, leaf, names, onChange }: InputProps & { names: Names }) {
  const { value: config } = useSettings();
  const { readOnly } = useForm();
  const dropdown = useDropdown();
  // A plugin may be of a later version.
  const isKnown = Object.hasOwn(LISTS, names);
  const { box, search } = dropdown;
  const reason = reasonOf(names, config);
  const { data, error, isFetching, isError } = useQuery({
    queryKey: ["names", names, names === "column" ? config.table : folderOf(search)],
    queryFn: ({ signal }) => LISTS[names]({ config, search, signal }),
    enabled: box.dropdownOpened && isKnown && reason === undefined,
    // Runs add tables and files at any time.
    staleTime: 0,
    retry: false,
  });
  const options = withChoices(dropdown, {
    items: data?.items ?? [],
    truncated: data?.truncated ?? false,
    reason: reason ?? (data?.items.length === 0 && search === "" ? EMPTY[names] : undefined),
    error,
    isLoading: isFetching && data === undefined && !isError,
    source: "the server",
  });
  if (readOnly || !isKnown) return null;
  return (
    <Combobox
      store={box}
      withinPortal
      {...PLACED}
      keepMounted={false}
      position="bottom-end"
      width={320}
      onOptionSubmit={(picked) => {
        onChange(picked);
        box.closeDropdown();
        document.getElementById(id)?.focus();
      }}
    >
      <Combobox.DropdownTarget>
        <div>
          <OpenButton box={box} label={leaf.label} size={36} />
        </div>
      </Combobox.DropdownTarget>
      <OptionsList options={options} label={leaf.label} />
    </Combobox>
  );
}
