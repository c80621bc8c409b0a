import { Alert, Box, Code, Group, Highlight, Modal, Stack, Text, TextInput } from "@mantine/core";
import { IconLayoutSidebarLeftCollapse, IconSearch } from "@tabler/icons-react";
import { type KeyboardEvent, useEffect, useId, useMemo, useRef, useState } from "react";
import { IconButton } from "@/ui/IconButton";
import { NodeIcon } from "@/ui/NodeIcon";
import { Quiet } from "@/ui/Quiet";
import { useEditor, useEditorStore } from "../context";
import { useUi } from "../ui";
import { canvasPlace } from "../useKeptFocus";
import { addNode, DRAGGED, fits, recentServices, useEntries, whereNext } from "./adding";
import { CurlButton } from "./CurlDialog";
import classes from "./palette.module.css";
import { type Entry, listed, ranked, SERVICE_TRIGGERS, SERVICES, SUGGESTED } from "./rank";

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
function PaletteList({ entries, onPick, isDialog = false, inputRef }: PaletteListProps) {
  const id = useId();
  const [search, setSearch] = useState("");
  const [active, setActive] = useState(0);
  const place = useRef<HTMLDivElement>(null);
  const isSearch = search.trim() !== "";
  // Read once: no entry may move while the list is open.
  const [recent] = useState(recentServices);
  const isEmpty = useEditor((state) => state.definition.nodes.length === 0);
  const groups = useMemo(
    () =>
      isSearch
        ? [{ group: "", entries: ranked(entries, search).slice(0, MAX_RESULTS) }]
        : listed(entries, recent, isEmpty),
    [entries, search, isSearch, recent, isEmpty],
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
        <Quiet px="md" pb="xs" role="status">
          No node matches “{search}”. To call an HTTP API, paste a cURL command.
        </Quiet>
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
                  isBrief={group === SUGGESTED || (!isSearch && [SERVICES, SERVICE_TRIGGERS].includes(entry.group))}
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

const SIZE = { width: 340, height: 440 };

/** Keeps the whole dialog on the screen. */
function within(value: number, size: number, whole: number): number {
  return Math.max(8, Math.min(value, whole - size - 8));
}

/** The node list as a dialog at the pointer. The new node is placed where the user pointed. */
export function QuickPalette() {
  const store = useEditorStore();
  const quick = useUi((ui) => ui.quick);
  const set = useUi((ui) => ui.set);
  const { entries } = useEntries();
  const fitting = useMemo(
    () => entries.filter((entry) => quick !== null && fits(entry, quick.where)),
    [entries, quick],
  );
  const close = () => set({ quick: null });
  function leave() {
    close();
    canvasPlace()?.focus({ preventScroll: true });
  }
  const height = Math.min(SIZE.height, window.innerHeight - 16);
  return (
    <Modal.Root opened={quick !== null} onClose={leave} transitionProps={{ duration: 80 }} returnFocus={false}>
      <Modal.Overlay backgroundOpacity={0.08} />
      <Modal.Content
        aria-label="Add node"
        w={SIZE.width}
        h={height}
        style={{
          position: "fixed",
          flex: "none",
          left: within(quick?.screen.x ?? 0, SIZE.width, window.innerWidth),
          top: within(quick?.screen.y ?? 0, height, window.innerHeight),
        }}
      >
        <Stack gap={0} h={height} mih={0}>
          <PaletteList
            isDialog
            entries={fitting}
            onPick={(entry) => {
              if (quick === null) return;
              close();
              addNode(store.getState(), entry.node, quick.where);
            }}
          />
          <Box p="xs" style={{ flexShrink: 0 }}>
            <CurlButton onClick={() => set({ quick: null, curl: { where: quick?.where ?? {}, command: "" } })} />
          </Box>
        </Stack>
      </Modal.Content>
    </Modal.Root>
  );
}

/** The list of nodes at the left: drag one onto the canvas, or click to add it after the selected node. */
export function Palette() {
  const open = useUi((ui) => ui.palette || ui.isNew);
  const { set, keep } = useUi.getState();
  if (!open) return null;
  function close() {
    set({ isNew: false });
    keep({ palette: false });
  }
  return <OpenPalette onClose={close} />;
}

function OpenPalette({ onClose }: { onClose: () => void }) {
  const store = useEditorStore();
  const { entries } = useEntries();
  const broken = useEditor((state) => state.catalogue?.broken);
  return (
    <Stack
      component="section"
      aria-label="Node list"
      gap={0}
      w={264}
      mih={0}
      bg="var(--card)"
      style={{ borderRight: "1px solid var(--line)", flexShrink: 0 }}
    >
      <Group justify="space-between" px="sm" pt="xs">
        <Text fw={600}>Nodes</Text>
        <IconButton
          label="Hide node list"
          tip
          icon={IconLayoutSidebarLeftCollapse}
          iconSize={20}
          data-next="[aria-label='Show node list']"
          onClick={onClose}
        />
      </Group>
      <PaletteList
        entries={entries}
        onPick={(entry) => {
          const where = whereNext(store.getState());
          addNode(store.getState(), entry.node, fits(entry, where) ? where : {});
        }}
      />
      {broken !== undefined && broken.length > 0 && (
        <Alert color="red" variant="light" m="xs" p="xs" title="Custom nodes that failed to load">
          {broken.map(({ file, reason }) => (
            <Text size="xs" key={file}>
              {file}: {reason}
            </Text>
          ))}
        </Alert>
      )}
      <Box p="xs" style={{ borderTop: "1px solid var(--line)" }}>
        <CurlButton
          onClick={() => useUi.getState().set({ curl: { where: whereNext(store.getState()), command: "" } })}
        />
      </Box>
    </Stack>
  );
}
