/** An input whose value is typed, or chosen from what the service lists. The list is read when it is opened. */
import { ActionIcon, Combobox, InputBase, Loader, Text, Tooltip, useCombobox } from "@mantine/core";
import { IconChevronDown } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { type Choice, loadChoices, serviceName } from "@/api/connectors";
import type { Json } from "@/definition/types";
import { messageOf } from "@/ui/states";
import { useForm, useSettings } from "../context";
import { type InputProps, useShared } from "../fields/shared";
import type { OptionsSource } from "../schema/types";
import { askedOf, filtered, titlesIn } from "./choices";
import { useFormConnector } from "./context";

const STALE = 60_000;
const MAX_SHOWN = 200;

interface Listed {
  items: Choice[];
  truncated: boolean;
  error: unknown;
  isLoading: boolean;
}

type Config = Record<string, Json>;

/** Return the choices of an input, once the list was opened: `config` is null before. */
function useListed(type: string, input: string, operation: string, config: Config | null): Listed {
  const { data, error, isFetching, isError } = useQuery({
    queryKey: ["post", "/api/connectors", type, operation, input, config],
    queryFn: ({ signal }) => loadChoices(type, { operation, input, config: config ?? {} }, signal),
    enabled: config !== null,
    staleTime: STALE,
    retry: false,
  });
  return {
    items: data?.items ?? [],
    truncated: data?.truncated ?? false,
    error,
    isLoading: isFetching && !isError,
  };
}

function textOf(value: Json | undefined): string {
  return value === undefined || value === null
    ? ""
    : typeof value === "object"
      ? JSON.stringify(value)
      : String(value);
}

/** Return what was typed, as the type of the input. */
function typed(text: string, isInteger: boolean | undefined): Json | undefined {
  if (text === "") return undefined;
  return isInteger && /^-?\d{1,15}$/.test(text) ? Number(text) : text;
}

export function OptionsField(props: InputProps & { source: OptionsSource }) {
  const { leaf, value, onChange, source } = props;
  const { readOnly, ...shared } = useShared(props);
  const form = useFormConnector();
  const { schema, value: config } = useSettings();
  const { expressions } = useForm();
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
  const ask = askedOf(source, config, (form?.connector.auth.length ?? 0) > 0, titlesIn(schema));
  const asked = wasOpened && form !== null && "config" in ask ? ask.config : null;
  const listed = useListed(form?.connector.type ?? "", props.name, form?.operation ?? "", asked);
  const shown = filtered(listed.items, search);
  const chosen = listed.items.find((one) => one.value === textOf(value));
  const label = chosen !== undefined && chosen.label !== chosen.value ? chosen.label : undefined;
  const list = `Choose ${leaf.label.toLowerCase()}`;

  return (
    <Combobox
      store={box}
      withinPortal
      // The lists of other inputs would be read by screen readers.
      keepMounted={false}
      position="bottom-start"
      onOptionSubmit={(picked) => {
        onChange(typed(picked, leaf.integer));
        box.closeDropdown();
        document.getElementById(props.id)?.focus();
      }}
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
          rightSection={
            readOnly ? undefined : (
              <Tooltip label={list} openDelay={300}>
                <ActionIcon
                  variant="subtle"
                  color="gray"
                  aria-label={list}
                  aria-haspopup="listbox"
                  aria-expanded={box.dropdownOpened}
                  onClick={() => box.toggleDropdown()}
                >
                  <IconChevronDown size={16} aria-hidden />
                </ActionIcon>
              </Tooltip>
            )
          }
        />
      </Combobox.Target>
      {label !== undefined && (
        <Text size="xs" mt={2}>
          {label}
        </Text>
      )}
      <Combobox.Dropdown>
        <Combobox.Search
          value={search}
          onChange={(event) => {
            setSearch(event.currentTarget.value);
            box.selectFirstOption();
          }}
          placeholder="Search"
          aria-label={`Search: ${leaf.label}`}
        />
        <Combobox.Options mah={260} style={{ overflowY: "auto" }} aria-label={leaf.label}>
          <ListState
            reason={"reason" in ask ? ask.reason : undefined}
            listed={listed}
            isEmpty={shown.length === 0}
            service={form === null ? "" : serviceName(form.connector)}
          />
          {shown.slice(0, MAX_SHOWN).map((one) => (
            <Combobox.Option key={one.value} value={one.value}>
              <Text size="sm">{one.label}</Text>
              {one.label !== one.value && (
                <Text size="xs" c="var(--quiet)" truncate>
                  {one.value}
                </Text>
              )}
            </Combobox.Option>
          ))}
        </Combobox.Options>
        {listed.truncated && (
          <Combobox.Footer>
            <Text size="xs" c="var(--quiet)">
              The service has more. Type the value of one that is missing into the field.
            </Text>
          </Combobox.Footer>
        )}
      </Combobox.Dropdown>
    </Combobox>
  );
}

interface ListStateProps {
  reason: string | undefined;
  listed: Listed;
  isEmpty: boolean;
  service: string;
}

/** Why the list has no choices yet. */
function ListState({ reason, listed, isEmpty, service }: ListStateProps) {
  const { error, isLoading } = listed;
  if (reason !== undefined) return <Combobox.Empty role="status">{reason}</Combobox.Empty>;
  if (error)
    return (
      <Combobox.Empty role="alert">
        <Text size="sm" c="var(--failed)" ta="start">
          {messageOf(error)}
        </Text>
      </Combobox.Empty>
    );
  if (isLoading)
    return (
      <Combobox.Empty role="status">
        <Loader size="xs" aria-hidden /> Asking {service}…
      </Combobox.Empty>
    );
  if (isEmpty) return <Combobox.Empty role="status">Nothing found</Combobox.Empty>;
  return null;
}
