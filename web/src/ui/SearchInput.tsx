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
  /** False if another field of the page has the key /. */
  hasKey?: boolean;
  /** Milliseconds without a keystroke until `onChange`; longer for searches that cost the server more. */
  pause?: number;
  /** The width in pixels beside other filters, which grows if there is space. */
  width?: number;
}

/** A search field that filters while the user types. The key / focuses it. */
export function SearchInput({ value, onChange, label, hasKey = true, pause = 250, width = 220 }: SearchInputProps) {
  const [text, setText] = useState(value);
  const told = useRef(value);
  const field = useRef<HTMLInputElement>(null);
  useHotkeys(hasKey ? [["/", () => field.current?.focus()]] : []);

  useEffect(() => {
    if (value === told.current) return;
    told.current = value;
    setText(value);
  }, [value]);

  function tell(next: string) {
    told.current = next.trim();
    onChange(told.current);
  }
  const tellSoon = useDebouncedCallback(tell, pause);

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
            size={24}
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
      flex={{ base: "1 1 220px", sm: `1 1 ${width}px` }}
      maw={420}
    />
  );
}
