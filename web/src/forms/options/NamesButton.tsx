/** A button beside a text field: choose the name of something that the workspace has. */
import { Combobox } from "@mantine/core";
import { useForm, useSettings } from "../context";
import type { InputProps } from "../fields/shared";
import { listOf } from "../schema/values";
import { textOf, toggled } from "./choices";
import { EMPTY, folderOf, type Names, reasonOf } from "./names";
import { OpenButton, OptionsBox } from "./OptionsBox";
import { useChoices } from "./useChoices";
import { LISTS } from "./workspaceNames";

export function NamesButton(props: InputProps & { names: Names }) {
  const { readOnly } = useForm();
  // A plugin may be of a later version.
  return readOnly || !Object.hasOwn(LISTS, props.names) ? null : <Choices {...props} />;
}

function Choices({ id, leaf, names, value, onChange }: InputProps & { names: Names }) {
  const { value: config } = useSettings();
  const options = useChoices((search) => ({
    key: ["names", names, names === "column" ? config.table : folderOf(search)],
    load: (signal) => LISTS[names]({ config, search, signal }),
    // Runs add tables and files at any time.
    staleTime: 0,
    name: "the server",
    reason: reasonOf(names, config),
    empty: EMPTY[names],
  }));
  return (
    <OptionsBox
      options={options}
      label={leaf.label}
      id={id}
      position="bottom-end"
      width={320}
      chosen={names === "files" ? listOf(value).map(textOf) : undefined}
      onPick={(picked) => onChange(names === "files" ? toggled(listOf(value), picked) : picked)}
    >
      <Combobox.DropdownTarget>
        <div>
          <OpenButton box={options.box} label={leaf.label} size={36} />
        </div>
      </Combobox.DropdownTarget>
    </OptionsBox>
  );
}
