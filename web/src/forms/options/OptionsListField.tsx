/** An input for a list of values, each typed, or chosen from a list of the service. */
import { Combobox, Pill, PillsInput } from "@mantine/core";
import { type KeyboardEvent, useState } from "react";
import { type InputProps, useShared } from "../fields/FieldFrame";
import type { OptionsSource } from "../schema/types";
import { holdsExpression, listOf } from "../schema/values";
import { textOf, toggled } from "./choices";
import { OpenButton, OptionsBox } from "./OptionsBox";
import { useOptions } from "./useOptions";

export function OptionsListField(props: InputProps & { source: OptionsSource }) {
  const { id, leaf, onChange, source } = props;
  const { readOnly, placeholder, "aria-required": required, ...shared } = useShared(props);
  const options = useOptions(props, source);
  const { box, labelOf } = options;
  const [text, setText] = useState("");
  const value = listOf(props.value);
  const chosen = value.map(textOf);

  function remove(at: number) {
    onChange(value.filter((_, index) => index !== at));
  }

  /** The first value that begins like an expression is one for the whole list. */
  function type(next: string) {
    if (value.length === 0 && holdsExpression(next)) onChange(next);
    else setText(next);
  }

  /** Add the typed value. */
  function add() {
    const typed = text.trim();
    setText("");
    if (typed !== "" && !chosen.includes(typed)) onChange([...value, typed]);
  }

  function onKeyDown(event: KeyboardEvent) {
    if (readOnly || event.nativeEvent.isComposing) return;
    if (event.key === "ArrowDown") {
      box.openDropdown();
      options.setSearch(text);
      setText("");
    } else if (event.key === "Enter") {
      add();
      // With Ctrl the key also runs the flow.
      if (event.ctrlKey || event.metaKey) return;
    } else if (event.key === "Backspace" && text === "" && value.length > 0) remove(value.length - 1);
    else return;
    event.preventDefault();
  }

  return (
    <OptionsBox
      options={options}
      label={leaf.label}
      chosen={chosen}
      id={id}
      onPick={(picked) => onChange(toggled(value, picked))}
    >
      <Combobox.DropdownTarget>
        <PillsInput {...shared} rightSection={readOnly ? undefined : <OpenButton box={box} label={leaf.label} />}>
          <Pill.Group>
            {chosen.map((one, at) => (
              <Pill
                // biome-ignore lint/suspicious/noArrayIndexKey: a value can occur twice
                key={at}
                title={one}
                withRemoveButton={!readOnly}
                removeButtonProps={{
                  "aria-label": `Remove ${labelOf(one) ?? one}`,
                  "aria-hidden": false,
                  tabIndex: 0,
                }}
                onRemove={() => {
                  remove(at);
                  document.getElementById(id)?.focus();
                }}
              >
                {labelOf(one) ?? one}
              </Pill>
            ))}
            <PillsInput.Field
              id={id}
              value={text}
              onChange={(event) => type(event.currentTarget.value)}
              onKeyDown={onKeyDown}
              onBlur={add}
              readOnly={readOnly}
              aria-required={required}
              autoComplete="off"
              spellCheck={false}
              placeholder={value.length > 0 ? undefined : (placeholder ?? "Type values, or choose from the list")}
            />
          </Pill.Group>
        </PillsInput>
      </Combobox.DropdownTarget>
    </OptionsBox>
  );
}
