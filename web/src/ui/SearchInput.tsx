import { CloseButton, TextInput } from "@mantine/core";
import { useDebouncedCallback, useHotkeys } from "@mantine/hooks";
import { IconSearch } from "@tabler/icons-react";
import { useEffect, useRef, useState } from "react";

interface SearchInputProps {
  value: string;
  /** Called shortly after the last keystroke, with the text trimmed. */
  onChange: (value: string) => void;
  /** Label for screen readers, and placeholder. */
  label: string;
}

/** A search field that filters while the user types. The key / focuses it. */
export function SearchInput({ value, onChange, label }: SearchInputProps) {
  const [text, setText] = useState(value);
  const told = useRef(value);
  const field = useRef<HTMLInputElement>(null);
  useHotkeys([["/", () => field.current?.focus()]]);

  useEffect(() => {
    if (value === told.current) return;
    told.current = value;
    setText(value);
  }, [value]);

  function tell(next: string) {
    told.current = next.trim();
    onChange(told.current);
  }
  const tellSoon = useDebouncedCallback(tell, 250);

  return (
    <TextInput
      ref={field}
      type="search"
      aria-label={label}
      placeholder={label}
      maxLength={200}
      leftSection={<IconSearch size={16} aria-hidden />}
      rightSection={
        text === "" ? undefined : (
          <CloseButton
            size="sm"
            aria-label="Clear the search"
            onClick={() => {
              setText("");
              tell("");
              field.current?.focus();
            }}
          />
        )
      }
      value={text}
      onChange={(event) => {
        setText(event.currentTarget.value);
        tellSoon(event.currentTarget.value);
      }}
      flex="1 1 220px"
      maw={420}
    />
  );
}
