import { Highlight, Kbd, Loader, Modal, TextInput, useMantineColorScheme, VisuallyHidden } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import {
  IconBook,
  IconBuilding,
  IconDeviceDesktop,
  IconFileImport,
  IconKeyboard,
  IconListDetails,
  IconLogout,
  IconMoon,
  IconPlus,
  IconSearch,
  IconSun,
  IconUser,
} from "@tabler/icons-react";
import { keepPreviousData } from "@tanstack/react-query";
import { type KeyboardEvent, type ReactNode, useCallback, useEffect, useId, useMemo, useRef, useState } from "react";
import { useLocation } from "wouter";
import { usePack } from "@/api/catalogue";
import { api } from "@/api/client";
import { useNewFlow } from "@/pages/flows/flows";
import { type Keys, KeysTable } from "@/ui/KeysTable";
import { Quiet } from "@/ui/Quiet";
import { messageOf } from "@/ui/states";
import { useSession } from "../session";
import { PLACES, type Place, useIsOpen, WORKSPACE } from "../shell/Places";
import { type Command, PALETTE_KEY, providedCommands, recentItems, remember } from "./commands";
import classes from "./commands.module.css";
import { foundFlow, foundRun, pathOf, recentCommands } from "./items";
import { hasPart, noRunWith, ranked, runIdIn, type Section, sections } from "./ranking";

// Flows and runs that the server finds for the search of the palette, a few of each.

const MAX_FLOWS = 8;
const MAX_RUNS = 5;
const STALE = 10_000;

interface Found {
  commands: Command[];
  isLoading: boolean;
  /** The reason why no run has the id in the search; null if one has it, or if the search has no id. */
  noRun: string | null;
  error: unknown;
}

/** Search for a text. `isOld`: the user has typed more since, so results are filtered by the new text too. */
function useFound(search: string, isOld: boolean, go: (path: string) => void): Found {
  const part = runIdIn(search);
  const flows = api.useQuery(
    "get",
    "/api/flows",
    { params: { query: { search, limit: MAX_FLOWS, brief: true } } },
    { enabled: search !== "", staleTime: STALE, placeholderData: keepPreviousData },
  );
  const runs = api.useQuery(
    "get",
    "/api/runs",
    { params: { query: { search: part ?? "", limit: MAX_RUNS, brief: true } } },
    { enabled: part !== null, staleTime: STALE },
  );
  const flowItems = search === "" ? undefined : flows.data?.items;
  const found = !isOld && !flows.isPlaceholderData;
  const runItems = part === null ? undefined : runs.data?.items;
  return useMemo(() => {
    const ofIds = runItems?.filter((run) => part !== null && hasPart(run.id, part));
    return {
      commands: [
        ...(ofIds ?? []).map((run) => foundRun(run, go)),
        ...(flowItems ?? []).map((flow) => ({ ...foundFlow(flow, go), found })),
      ],
      isLoading: flows.isFetching || runs.isFetching,
      noRun: part !== null && ofIds?.length === 0 ? noRunWith(part) : null,
      error: flows.error ?? runs.error,
    };
  }, [flowItems, found, runItems, part, go, flows.isFetching, runs.isFetching, flows.error, runs.error]);
}

// The commands of every page: pages, actions, workspaces.

type Go = (path: string) => void;
type Icon = typeof IconBook;

const OTHER_WORDS: Record<string, string> = {
  "/": "home overview statistics",
  "/waiting": "questions waiting answer",
  "/members": "users people roles invitations workspaces settings",
  "/credentials": "secrets passwords keys",
  "/audit": "history changes",
  "/settings": "workspace variables vars constants time zone timezone",
  "/tables": "data rows database csv spreadsheet key value store",
  "/runs": "executions history",
};

function icon(Shown: Icon): ReactNode {
  return <Shown size={18} stroke={1.7} aria-hidden />;
}

function action(id: string, label: string, shown: Icon, run: () => void, more: Partial<Command> = {}): Command {
  return { id: `action ${id}`, label, group: "Actions", icon: icon(shown), run, ...more };
}

/** Return the pages that the role may open. */
function usePages(go: Go): Command[] {
  const profile: Place = { path: "/profile", label: "Profile", icon: IconUser };
  return [...PLACES, ...WORKSPACE, profile].filter(useIsOpen()).map(({ path, label, icon: Shown }) => ({
    id: `page ${path}`,
    label,
    group: "Pages",
    words: OTHER_WORDS[path],
    icon: icon(Shown),
    run: () => go(path),
  }));
}

function useAppearance(): Command[] {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const words = "theme color scheme appearance mode";
  const schemes = [
    { value: "dark", label: "Use dark appearance", shown: IconMoon },
    { value: "light", label: "Use light appearance", shown: IconSun },
    { value: "auto", label: "Use the appearance of the system", shown: IconDeviceDesktop },
  ] as const;
  return schemes
    .filter(({ value }) => value !== colorScheme)
    .map(({ value, label, shown }) =>
      action(`appearance ${value}`, label, shown, () => setColorScheme(value), { words, searched: true }),
    );
}

/** Return the commands of every page. `showKeys` shows the keyboard shortcuts. */
function useAppCommands(go: Go, showKeys: () => void): Command[] {
  const { may, logOut, workspace, workspaces, switchTo } = useSession();
  const pages = usePages(go);
  const appearance = useAppearance();
  const begin = useNewFlow();
  const hasDocs = usePack("reference");
  const creating = may("editor")
    ? [
        action("new", "New flow", IconPlus, () => void begin(), { words: "create add workflow" }),
        action("import", "Import a flow", IconFileImport, () => go("/flows?new=import"), {
          words: "upload file",
        }),
      ]
    : [];
  const others = workspaces
    .filter(({ id }) => id !== workspace.id)
    .map(({ id, name }) => {
      const change = () => {
        switchTo(id);
        go("/");
      };
      return action(`workspace ${id}`, `Switch to workspace ${name}`, IconBuilding, change, {
        searched: true,
      });
    });
  return [
    ...creating,
    action("keys", "Keyboard shortcuts", IconKeyboard, showKeys, { words: "help keys" }),
    ...(hasDocs
      ? [
          action("docs", "Documentation", IconBook, () => void window.open("/docs", "_blank"), {
            words: "help manual",
          }),
        ]
      : []),
    action("api", "API reference", IconListDetails, () => void window.open("/api/docs", "_blank"), {
      searched: true,
    }),
    ...appearance,
    ...others,
    action("log out", "Log out", IconLogout, () => void logOut(), { words: "sign out", searched: true }),
    ...pages,
  ];
}

/** The keyboard shortcuts outside of the editor, which has a list of its own. */
const APP_KEYS: Keys = [
  [PALETTE_KEY, "Search flows, runs, pages and actions"],
  ["Arrows, Enter", "In the search: choose a result, open it"],
  ["/", "On a page with a list: search the list"],
  ["Escape", "Close a dialog or a menu"],
];

/** A dialog that finds flows, runs, pages, nodes and actions. */
export default function CommandPalette({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const [keys, setKeys] = useState(false);
  return (
    <>
      <Modal.Root
        opened={opened}
        onClose={onClose}
        size={640}
        yOffset="10dvh"
        xOffset={8}
        transitionProps={{ duration: 80 }}
      >
        <Modal.Overlay backgroundOpacity={0.3} />
        <Modal.Content aria-label="Search and commands">
          <div className={classes.palette}>{opened && <Search onClose={onClose} onKeys={() => setKeys(true)} />}</div>
        </Modal.Content>
      </Modal.Root>
      <Modal opened={keys} onClose={() => setKeys(false)} title="Keyboard shortcuts" size="lg">
        <KeysTable keys={APP_KEYS} />
      </Modal>
    </>
  );
}

/** Return the commands for a search, below headings if there is none. */
function useSections(search: string, found: Found, go: (path: string) => void, onKeys: () => void): Section[] {
  const { workspace } = useSession();
  const [here] = useLocation();
  // The open page is the latest item, but is not worth listing.
  const [recent] = useState(() => recentItems(workspace.id).filter((item) => pathOf(item) !== here));
  const [ofPage] = useState(providedCommands);
  const always = useAppCommands(go, onKeys);
  const isSearch = search.trim() !== "";
  const all = [...ofPage, ...found.commands, ...recentCommands(recent, go), ...always];
  if (!isSearch) return sections(all, recent);
  const commands = ranked(all, search, recent);
  return commands.length > 0 ? [{ group: "Recent", commands }] : [];
}

const MAX_QUOTED = 40; // characters of the search in a message
const STEPS: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 };

/** Return the place after a key; the arrows go from the end to the beginning and back. */
function moved(at: number, key: string, count: number): number | undefined {
  const step = STEPS[key];
  if (step === undefined || count === 0) return undefined;
  const next = at + step;
  if (Math.abs(step) === 1) return (next + count) % count;
  return Math.max(0, Math.min(count - 1, next));
}

function Search({ onClose, onKeys }: { onClose: () => void; onKeys: () => void }) {
  const id = useId();
  const { workspace } = useSession();
  const [, go] = useLocation();
  const goTo = useCallback((path: string) => go(path), [go]);
  const [search, setSearch] = useState("");
  const [active, setActive] = useState(0);
  const [asked] = useDebouncedValue(search.trim(), 150);
  const isOld = asked !== search.trim();
  const found = useFound(asked, isOld, goTo);
  const isSettled = !isOld && !found.isLoading;
  const parts = useSections(search, found, goTo, onKeys);
  const commands = useMemo(() => parts.flatMap((part) => part.commands), [parts]);
  const at = Math.min(active, commands.length - 1);
  const isSearch = search.trim() !== "";
  // A pasted id followed by Enter at once: the run opens when it is found.
  const [isEager, setEager] = useState(false);

  function choose(command: Command) {
    if (!command.id.startsWith("node ")) remember(workspace.id, command);
    onClose();
    // The dialog gives the focus back first; the command may move it on.
    requestAnimationFrame(() => requestAnimationFrame(command.run));
  }

  // biome-ignore lint/correctness/useExhaustiveDependencies: once, when the answer is there
  useEffect(() => {
    if (!isEager || !isSettled) return;
    setEager(false);
    if (commands[0] !== undefined) choose(commands[0]);
  }, [isEager, isSettled]);

  function onKeyDown(event: KeyboardEvent) {
    const next = moved(at, event.key, commands.length);
    if (next !== undefined) setActive(next);
    else if (event.key !== "Enter" || event.nativeEvent.isComposing) return;
    else if (!isSettled && runIdIn(search) !== null) setEager(true);
    else if (commands[at] !== undefined) choose(commands[at]);
    event.preventDefault();
  }

  return (
    <>
      <TextInput
        size="md"
        variant="unstyled"
        classNames={{ root: classes.field }}
        leftSection={<IconSearch size={20} stroke={1.7} aria-hidden />}
        rightSection={found.isLoading ? <Loader size="xs" /> : undefined}
        placeholder="Flows, runs by id, nodes, pages, actions"
        aria-label="Search and commands"
        value={search}
        maxLength={200}
        spellCheck={false}
        autoComplete="off"
        data-autofocus
        role="combobox"
        aria-expanded
        aria-autocomplete="list"
        aria-controls={id}
        aria-activedescendant={commands[at] && `${id} ${at}`}
        onChange={(event) => {
          setSearch(event.currentTarget.value);
          setActive(0);
          setEager(false);
        }}
        onKeyDown={onKeyDown}
      />
      <Results id={id} parts={parts} at={at} search={isSearch ? search : ""} onChoose={choose} />
      <Status found={found} search={search.trim()} count={commands.length} isSettled={isSettled} />
    </>
  );
}

interface ResultsProps {
  id: string;
  parts: readonly Section[];
  /** The place of the active command. */
  at: number;
  search: string;
  onChoose: (command: Command) => void;
}

function Results({ id, parts, at, search, onChoose }: ResultsProps) {
  const list = useRef<HTMLDivElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the active command is scrolled into view when it changes
  useEffect(() => {
    list.current?.querySelector("[data-active]")?.scrollIntoView({ block: "nearest" });
  }, [at, parts.length]);
  let index = -1;
  return (
    <div ref={list} className={classes.list} role="listbox" id={id} aria-label="Results" tabIndex={-1}>
      {parts.map(({ group, commands }) => (
        // biome-ignore lint/a11y/useSemanticElements: a group of options in a list box
        <div key={group} role="group" aria-label={search === "" ? group : "Best matches"}>
          {search === "" && (
            <div className={classes.group} aria-hidden>
              {group}
            </div>
          )}
          {commands.map((command) => {
            index += 1;
            return (
              <Option
                key={command.id}
                id={`${id} ${index}`}
                command={command}
                active={index === at}
                search={search}
                isKindShown={search !== "" || group === "Recent"}
                onChoose={onChoose}
              />
            );
          })}
        </div>
      ))}
    </div>
  );
}

interface OptionProps {
  id: string;
  command: Command;
  active: boolean;
  search: string;
  isKindShown: boolean;
  onChoose: (command: Command) => void;
}

function Option({ id, command, active, search, isKindShown, onChoose }: OptionProps) {
  const { label, about, icon, keys, group } = command;
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the search field above handles the keys
    // biome-ignore lint/a11y/useFocusableInteractive: it is the active descendant of the search field
    <div
      id={id}
      role="option"
      aria-selected={active}
      data-active={active || undefined}
      className={classes.option}
      onClick={() => onChoose(command)}
    >
      <span className={classes.icon}>{icon}</span>
      <span className={classes.words}>
        <Highlight component="span" size="sm" fw={550} highlight={search.trim().split(/\s+/)} color="yellow">
          {label}
        </Highlight>
        {about !== undefined && (
          <Quiet component="span" size="xs" truncate>
            {about}
          </Quiet>
        )}
      </span>
      {keys !== undefined && <Kbd size="xs">{keys}</Kbd>}
      {isKindShown && (
        <Quiet component="span" size="xs" className={classes.kind}>
          {group}
        </Quiet>
      )}
    </div>
  );
}

function shortened(text: string): string {
  return text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text;
}

interface StatusProps {
  found: Found;
  search: string;
  count: number;
  /** False while the server has not answered for the latest text. */
  isSettled: boolean;
}

/** The number of results, for screen readers; the reason for none, as visible text. */
function Status({ found, search, count, isSettled }: StatusProps) {
  const text =
    found.error !== null && found.error !== undefined
      ? `Flows and runs could not be searched: ${messageOf(found.error)}.`
      : (found.noRun ?? (count === 0 ? `Nothing matches “${shortened(search)}”.` : null));
  if (text === null || !isSettled)
    return (
      <VisuallyHidden role="status">{!isSettled ? "" : count === 1 ? "1 result" : `${count} results`}</VisuallyHidden>
    );
  return (
    <Quiet px="md" py="sm" role="status" className={classes.status}>
      {text}
    </Quiet>
  );
}
