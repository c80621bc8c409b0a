import { Code, Highlight, Text, TextInput } from "@mantine/core";
import { IconSearch } from "@tabler/icons-react";
import { type KeyboardEvent, useEffect, useId, useMemo, useRef, useState } from "react";
import { NodeIcon } from "@/ui/NodeIcon";
import { DRAGGED } from "./adding";
import classes from "./palette.module.css";
import { type Entry, listed, ranked, SERVICE_TRIGGERS, SERVICES } from "./rank";
import { recentServices } from "./recent";

/** The maximum number of results to render: more are not read, and another word finds them. */
const MAX_RESULTS = 80;

interface PaletteListProps {
  entries: readonly Entry[];
  onPick: (entry: Entry) => void;
  /** In a dialog the search field is focused at once, and dragging is disabled. */
  isDialog?: boolean;
  inputRef?: React.Ref<HTMLInputElement>;
}

/** A search field with its results. Arrow keys move through the results while the field keeps the focus. */
export function PaletteList({ entries, onPick, isDialog = false, inputRef }: PaletteListProps) {
  const id = useId();
  const [search, setSearch] = useState("");
  const [active, setActive] = useState(0);
  const place = useRef<HTMLDivElement>(null);
  const isSearch = search.trim() !== "";
  // Read once: no entry may move while the list is open.
  const [recent] = useState(recentServices);
  const groups = useMemo(
    () =>
      isSearch
        ? [{ group: "", entries: ranked(entries, search).slice(0, MAX_RESULTS) }]
        : listed(entries, recent),
    [entries, search, isSearch, recent],
  );
  const found = useMemo(() => groups.flatMap((one) => one.entries), [groups]);
  const at = Math.min(active, found.length - 1);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the active entry is scrolled into view when it changes
  useEffect(() => {
    place.current?.querySelector("[data-active]")?.scrollIntoView({ block: "nearest" });
  }, [at]);

  function onKeyDown(event: KeyboardEvent) {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    if (step !== undefined) setActive(Math.max(0, Math.min(found.length - 1, at + step)));
    else if (event.key === "Enter" && found[at] !== undefined) onPick(found[at]);
    else return;
    event.preventDefault();
  }

  let index = -1;
  return (
    <>
      <TextInput
        ref={inputRef}
        m="xs"
        leftSection={<IconSearch size={16} aria-hidden />}
        placeholder="Search nodes"
        aria-label="Search nodes"
        value={search}
        data-autofocus={isDialog || undefined}
        role="combobox"
        aria-expanded
        aria-controls={id}
        aria-activedescendant={found[at] && `${id} ${at}`}
        onChange={(event) => {
          setSearch(event.currentTarget.value);
          setActive(0);
        }}
        onKeyDown={onKeyDown}
      />
      {found.length === 0 && (
        <Text size="sm" c="var(--quiet)" px="md" pb="xs" role="status">
          No node matches “{search}”. To call an HTTP API, paste a cURL command.
        </Text>
      )}
      <div ref={place} className={classes.list} role="listbox" id={id} aria-label="Nodes" tabIndex={-1}>
        {groups.map(({ group, entries: list }) => (
          // biome-ignore lint/a11y/useSemanticElements: a group of options in a list box
          <div key={group} role="group" aria-label={group === "" ? "Results" : group}>
            {group !== "" && (
              <div className={classes.group} aria-hidden>
                {group}
              </div>
            )}
            {list.map((entry) => {
              index += 1;
              return (
                <Option
                  key={entry.key}
                  id={`${id} ${index}`}
                  entry={entry}
                  search={search}
                  active={index === at && (isDialog || isSearch)}
                  isBrief={!isSearch && [SERVICES, SERVICE_TRIGGERS].includes(entry.group)}
                  draggable={!isDialog}
                  onPick={onPick}
                />
              );
            })}
          </div>
        ))}
      </div>
    </>
  );
}

interface OptionProps {
  id: string;
  entry: Entry;
  search: string;
  active: boolean;
  draggable: boolean;
  /** One line, so that many services are easy to scan. */
  isBrief: boolean;
  onPick: (entry: Entry) => void;
}

function Option({ id, entry, search, active, draggable, isBrief, onPick }: OptionProps) {
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the search field above handles the keys
    // biome-ignore lint/a11y/useFocusableInteractive: it is the active descendant of the search field
    <div
      id={id}
      role="option"
      aria-selected={active}
      data-active={active || undefined}
      data-brief={isBrief || undefined}
      className={classes.entry}
      title={entry.about}
      draggable={draggable}
      onDragStart={(event) => {
        event.dataTransfer.setData(DRAGGED, entry.key);
        event.dataTransfer.effectAllowed = "copy";
      }}
      onClick={() => onPick(entry)}
    >
      <NodeIcon type={entry.type ?? { category: "" }} size={isBrief ? 22 : 30} />
      <div className={classes.words}>
        <Highlight component="div" size="sm" fw={550} highlight={search.trim()} truncate color="yellow">
          {entry.name}
        </Highlight>
        {!isBrief && <div className={classes.about}>{entry.about}</div>}
        {entry.install !== null && (
          <Text size="xs" c="var(--waiting)">
            Not installed. Run: <Code fz={11}>{entry.install}</Code>
          </Text>
        )}
      </div>
    </div>
  );
}
