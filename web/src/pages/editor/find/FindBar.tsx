import { ActionIcon, Group, Mark, Text, TextInput, Tooltip } from "@mantine/core";
import { IconChevronDown, IconChevronUp, IconSearch, IconX } from "@tabler/icons-react";
import { useReactFlow } from "@xyflow/react";
import { type KeyboardEvent, useDeferredValue, useEffect, useId, useMemo, useRef, useState } from "react";
import { Quiet } from "@/ui/Quiet";
import { useEditor, useEditorStore } from "../context";
import { useUi } from "../ui";
import { canvasPlace } from "../useKeptFocus";
import classes from "./find.module.css";
import { countOf, type Hit, hitsIn, unmarkField } from "./hits";

/** Find a text in the open flow: `Ctrl + F`. */
export function FindBar() {
  const open = useUi((ui) => ui.find);
  // Each opening has a number: opening it again puts the focus back into the field.
  return open === null ? null : <Find opening={open} />;
}

/** Return what had the focus before the field took it. */
function useFocusBefore(): () => HTMLElement | null {
  const before = useRef(document.activeElement);
  return () => (before.current instanceof HTMLElement && before.current.isConnected ? before.current : null);
}

function useShow(): (hit: Hit) => void {
  const store = useEditorStore();
  const flow = useReactFlow();
  return (hit) => {
    if (hit.nodeId !== null) {
      useUi.getState().keep({ panel: true });
      store.getState().show(hit.nodeId, hit.path);
      return;
    }
    store.getState().select([]);
    if (hit.spot !== undefined) void flow.setCenter(hit.spot.x, hit.spot.y, { zoom: Math.max(flow.getZoom(), 0.6) });
    else useUi.getState().keep({ panel: true });
  };
}

function Find({ opening }: { opening: number }) {
  const id = useId();
  const definition = useEditor((state) => state.definition);
  const catalogue = useEditor((state) => state.catalogue);
  const [search, setSearch] = useState("");
  const [at, setAt] = useState<number | null>(null);
  const wanted = useDeferredValue(search);
  const hits = useMemo(() => hitsIn(definition, catalogue, wanted), [definition, catalogue, wanted]);
  const focusBefore = useFocusBefore();
  const show = useShow();
  const field = useRef<HTMLInputElement>(null);
  const current = at === null || hits.length === 0 ? null : Math.min(at, hits.length - 1);

  // biome-ignore lint/correctness/useExhaustiveDependencies: Ctrl+F in the open bar selects its text
  useEffect(() => {
    field.current?.focus();
    field.current?.select();
  }, [opening]);
  useEffect(() => unmarkField, []);

  function go(to: number) {
    const hit = hits[to];
    if (hit === undefined) return;
    setAt(to);
    show(hit);
  }
  function move(step: 1 | -1) {
    if (hits.length === 0) return;
    const next = current === null ? (step === 1 ? 0 : hits.length - 1) : current + step;
    go((next + hits.length) % hits.length);
  }
  function close() {
    // After a hit was shown, the keys continue from its node.
    const back = at === null ? focusBefore() : null;
    useUi.getState().set({ find: null });
    (back ?? canvasPlace())?.focus({ preventScroll: true });
  }
  function onKeyDown(event: KeyboardEvent) {
    const back = event.key === "ArrowUp" || (event.key === "Enter" && event.shiftKey);
    if (event.ctrlKey || event.metaKey || event.altKey || event.nativeEvent.isComposing) return;
    if (event.key === "Escape") close();
    else if (back) move(-1);
    else if (event.key === "Enter" || event.key === "ArrowDown") move(1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  return (
    <search className={classes.bar} aria-label="Find in flow">
      <Group gap={4} wrap="nowrap" p={6}>
        <TextInput
          ref={field}
          flex={1}
          size="sm"
          leftSection={<IconSearch size={16} aria-hidden />}
          placeholder="Find in flow"
          aria-label="Find in flow"
          role="combobox"
          aria-expanded={hits.length > 0}
          aria-autocomplete="list"
          aria-controls={id}
          aria-activedescendant={current === null ? undefined : `${id} ${current}`}
          value={search}
          maxLength={200}
          spellCheck={false}
          autoComplete="off"
          onChange={(event) => {
            setSearch(event.currentTarget.value);
            setAt(null);
          }}
          onKeyDown={onKeyDown}
        />
        <Quiet size="xs" role="status" className={classes.count}>
          {search.trim() === "" ? "" : countOf(hits, current)}
        </Quiet>
        <Buttons move={move} close={close} />
      </Group>
      <Hits id={id} hits={hits} at={current} onGo={go} />
    </search>
  );
}

function Buttons({ move, close }: { move: (step: 1 | -1) => void; close: () => void }) {
  const buttons = [
    { label: "Previous match", keys: "Shift + Enter", icon: IconChevronUp, act: () => move(-1) },
    { label: "Next match", keys: "Enter", icon: IconChevronDown, act: () => move(1) },
    { label: "Close", keys: "Escape", icon: IconX, act: close },
  ];
  return buttons.map(({ label, keys, icon: Icon, act }) => (
    <Tooltip key={label} label={`${label} (${keys})`}>
      <ActionIcon variant="subtle" color="gray" aria-label={label} onClick={act}>
        <Icon size={16} aria-hidden />
      </ActionIcon>
    </Tooltip>
  ));
}

interface HitsProps {
  id: string;
  hits: readonly Hit[];
  at: number | null;
  onGo: (at: number) => void;
}

function Hits({ id, hits, at, onGo }: HitsProps) {
  const list = useRef<HTMLDivElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the current hit is scrolled into view when it changes
  useEffect(() => {
    list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }, [at]);
  return (
    <div ref={list} id={id} role="listbox" aria-label="Matches" className={classes.list} tabIndex={-1}>
      {hits.map((hit, index) => (
        // biome-ignore lint/a11y/useKeyWithClickEvents: the search field above handles the keys
        // biome-ignore lint/a11y/useFocusableInteractive: it is the active descendant of the search field
        <div
          key={hit.key}
          id={`${id} ${index}`}
          role="option"
          aria-selected={index === at}
          className={classes.hit}
          onClick={() => onGo(index)}
        >
          <Text size="xs" component="div" truncate>
            <b>{hit.owner}</b> · {hit.title}
          </Text>
          <Quiet size="xs" component="div" truncate>
            {hit.before}
            <Mark color="yellow">{hit.match}</Mark>
            {hit.after}
          </Quiet>
        </div>
      ))}
    </div>
  );
}
