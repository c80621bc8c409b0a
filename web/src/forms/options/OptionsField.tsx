/** An input whose value is typed, or chosen from a list of the service. */
import { Combobox, InputBase, Text } from "@mantine/core";
import type { Json } from "@/definition/types";
import { useForm } from "../context";
import { type InputProps, useShared } from "../fields/FieldFrame";
import type { OptionsSource } from "../schema/types";
import { textOf } from "./choices";
import { OpenButton, OptionsBox } from "./OptionsBox";
import { useOptions } from "./useOptions";

/** Return the typed text, converted to the type of the input. */
function typed(text: string, isInteger: boolean | undefined): Json | undefined {
  if (text === "") return undefined;
  return isInteger && /^-?\d{1,15}$/.test(text) ? Number(text) : text;
}

export function OptionsField(props: InputProps & { source: OptionsSource }) {
  const { leaf, value, onChange, source } = props;
  const { readOnly, ...shared } = useShared(props);
  const { expressions } = useForm();
  const options = useOptions(props, source);
  const { box } = options;
  const label = options.labelOf(textOf(value));

  return (
    <OptionsBox
      options={options}
      label={leaf.label}
      id={props.id}
      onPick={(picked) => onChange(typed(picked, leaf.integer))}
    >
      <Combobox.Target withKeyboardNavigation={false} withAriaAttributes={false}>
        <InputBase
          {...shared}
          value={textOf(value)}
          onChange={(event) => onChange(typed(event.currentTarget.value, leaf.integer))}
          readOnly={readOnly}
          autoComplete="off"
          spellCheck={false}
          placeholder={
            shared.placeholder ?? (expressions === null ? undefined : "Type a value, or choose from the list")
          }
          onKeyDown={(event) => {
            if (event.key !== "ArrowDown" || readOnly) return;
            event.preventDefault();
            box.openDropdown();
          }}
          rightSection={readOnly ? undefined : <OpenButton box={box} label={leaf.label} />}
        />
      </Combobox.Target>
      {label !== undefined && (
        <Text size="xs" mt={2}>
          {label}
        </Text>
      )}
    </OptionsBox>
  );
}
