/** The list of an input's choices, with its search, and the button that opens it. */

import {
  ActionIcon,
  Button,
  CheckIcon,
  Combobox,
  type ComboboxProps,
  Group,
  Loader,
  Text,
  Tooltip,
} from "@mantine/core";
import { IconChevronDown } from "@tabler/icons-react";
import { Linked } from "@/ui/Linked";
import { Quiet } from "@/ui/Quiet";
import { messageOf } from "@/ui/states";
import type { Options } from "./useChoices";

interface OptionsBoxProps extends OptionsListProps, Pick<ComboboxProps, "position" | "width" | "children"> {
  /** The input that gets the focus after a choice. */
  id: string;
  onPick: (value: string) => void;
}

/** The target of the list, and the list. It stays open after a choice if several can be chosen. */
export function OptionsBox({ options, label, chosen, id, onPick, children, ...place }: OptionsBoxProps) {
  const { box } = options;
  return (
    <Combobox
      store={box}
      withinPortal
      // The list grows when its choices arrive: then it turns upwards instead of scrolling the page.
      floatingStrategy="fixed"
      preventPositionChangeWhenVisible={false}
      // The lists of other inputs would be read by screen readers.
      keepMounted={false}
      position="bottom-start"
      {...place}
      onOptionSubmit={(picked) => {
        onPick(picked);
        if (chosen !== undefined) return;
        box.closeDropdown();
        document.getElementById(id)?.focus();
      }}
    >
      {children}
      <OptionsList options={options} label={label} chosen={chosen} />
    </Combobox>
  );
}

interface OpenButtonProps {
  box: Options["box"];
  label: string;
  /** That of a button beside an input; undefined for one inside. */
  size?: number;
}

export function OpenButton({ box, label, size }: OpenButtonProps) {
  const name = `Choose ${label.toLowerCase()}`;
  return (
    <Tooltip label={name}>
      <ActionIcon
        variant={size === undefined ? "subtle" : "default"}
        color="gray"
        size={size}
        aria-label={name}
        aria-haspopup="listbox"
        aria-expanded={box.dropdownOpened}
        onClick={() => box.toggleDropdown()}
      >
        <IconChevronDown size={16} aria-hidden />
      </ActionIcon>
    </Tooltip>
  );
}

interface OptionsListProps {
  options: Options;
  label: string;
  /** The chosen values, where several can be chosen. */
  chosen?: readonly string[];
}

function OptionsList({ options, label, chosen }: OptionsListProps) {
  const { box, search, setSearch, shown, truncated } = options;
  return (
    <Combobox.Dropdown>
      <Combobox.Search
        value={search}
        onChange={(event) => {
          setSearch(event.currentTarget.value);
          box.selectFirstOption();
        }}
        placeholder="Search"
        aria-label={`Search: ${label}`}
      />
      <State options={options} />
      {shown.length > 0 && (
        <Combobox.Options
          mah={260}
          style={{ overflowY: "auto" }}
          aria-label={label}
          aria-multiselectable={chosen !== undefined || undefined}
        >
          {shown.map((one) => {
            const isChosen = chosen?.includes(one.value);
            return (
              <Combobox.Option key={one.value} value={one.value} aria-selected={isChosen}>
                <Group gap="xs" wrap="nowrap" justify="space-between">
                  <div style={{ minWidth: 0 }}>
                    <Text size="sm">{one.label}</Text>
                    {one.label !== one.value && (
                      <Quiet size="xs" truncate>
                        {one.value}
                      </Quiet>
                    )}
                  </div>
                  {isChosen && <CheckIcon size={12} aria-hidden />}
                </Group>
              </Combobox.Option>
            );
          })}
        </Combobox.Options>
      )}
      {truncated && (
        <Combobox.Footer>
          <Quiet size="xs">The list is longer. Type a value that is not listed into the field.</Quiet>
        </Combobox.Footer>
      )}
    </Combobox.Dropdown>
  );
}

/** Why the list has no choices yet. */
function State({ options: { reason, error, retry, isLoading, shown, source } }: { options: Options }) {
  if (reason !== undefined) return <Combobox.Empty role="status">{reason}</Combobox.Empty>;
  if (error)
    return (
      <Combobox.Empty role="alert">
        <Text size="sm" c="var(--failed)" ta="start">
          <Linked text={messageOf(error)} />
        </Text>
        <Button size="compact-xs" variant="default" mt="xs" onClick={retry}>
          Try again
        </Button>
      </Combobox.Empty>
    );
  if (isLoading)
    return (
      <Combobox.Empty role="status">
        <Loader size="xs" aria-hidden /> Asking {source}…
      </Combobox.Empty>
    );
  if (shown.length === 0) return <Combobox.Empty role="status">Nothing found</Combobox.Empty>;
  return null;
}
