/** The frame of every page: navigation, workspace and user menu. */

import {
  ActionIcon,
  AppShell,
  Box,
  Burger,
  Code,
  Group,
  Kbd,
  type MenuProps,
  ScrollArea,
  Stack,
  Text,
  UnstyledButton,
} from "@mantine/core";
import { useDisclosure, useMediaQuery } from "@mantine/hooks";
import {
  IconBuilding,
  IconChevronDown,
  IconPlayerPause,
  IconPlugConnectedX,
  IconSearch,
  IconSelector,
  IconUser,
} from "@tabler/icons-react";
import { type QueryCache, useQueryClient } from "@tanstack/react-query";
import {
  type ComponentType,
  cloneElement,
  type ReactElement,
  type ReactNode,
  Suspense,
  useEffect,
  useState,
} from "react";
import { Link, useLocation, useRoute } from "wouter";
import { useServerState } from "@/api/catalogue";
import { ApiError } from "@/api/client";
import { lazily } from "@/ui/lazily";
import { Quiet } from "@/ui/Quiet";
import { isPaletteKey, PALETTE_KEY } from "../commands/commands";
import mark from "../mark.svg?inline";
import { useSession } from "../session";
import { useTour } from "../tour/tour";
import { Places } from "./Places";
import classes from "./shell.module.css";

// A button with a menu. The menu is loaded when the button is first used: the first page needs none.

type Load = () => Promise<{ default: ComponentType }>;

interface MenuButtonProps {
  /** Import the component with the items. */
  load: Load;
  menu: Pick<MenuProps, "width" | "position">;
  /** The button. */
  children: ReactElement<Record<string, unknown>>;
}

/** Return the component that shows the menu with these items. */
function menuWith(load: Load) {
  return lazily(async () => {
    const [{ OpenedMenu }, { default: Items }] = await Promise.all([import("./OpenedMenu"), load()]);
    return {
      default: ({ menu, children }: Omit<MenuButtonProps, "load">) => (
        <OpenedMenu menu={menu} items={<Items />}>
          {children}
        </OpenedMenu>
      ),
    };
  });
}

function MenuButton({ load, menu, children }: MenuButtonProps) {
  const [Whole] = useState(() => menuWith(load));
  const [used, setUsed] = useState(false);
  const loadAhead = () => void Promise.all([import("./OpenedMenu"), load()]).catch(() => undefined);
  const button = cloneElement(children, {
    "aria-haspopup": "menu",
    "aria-expanded": false,
    onPointerEnter: loadAhead,
    onFocus: loadAhead,
    onClick: () => setUsed(true),
  });
  if (!used) return button;
  return (
    <Suspense fallback={button}>
      <Whole menu={menu}>{children}</Whole>
    </Suspense>
  );
}

/** The user menu: profile, documentation, appearance, log out. */
function UserMenu({ compact }: { compact: boolean }) {
  const { user, role } = useSession();
  return (
    <MenuButton load={() => import("./UserMenuItems")} menu={{ width: 220, position: "top-start" }}>
      <UnstyledButton w="100%" p="xs" bdrs="md">
        <Group gap="xs" wrap="nowrap">
          <IconUser size={18} stroke={1.7} role="img" aria-label={compact ? `Account: ${user.name}` : "Account:"} />
          {!compact && (
            <>
              <Stack gap={0} flex={1} miw={0}>
                <Text size="sm" fw={550} truncate>
                  {user.name}
                </Text>
                <Quiet size="xs" tt="capitalize">
                  {role}
                </Quiet>
              </Stack>
              <IconChevronDown size={16} aria-hidden />
            </>
          )}
        </Group>
      </UnstyledButton>
    </MenuButton>
  );
}

/** The menu of workspaces: the current one and the others. */
function WorkspaceMenu({ compact }: { compact: boolean }) {
  const { workspace } = useSession();
  return (
    <MenuButton
      load={() => import("./WorkspaceMenuItems")}
      menu={{ width: compact ? 220 : "target", position: "bottom-start" }}
    >
      <UnstyledButton w="100%" p="xs" bdrs="md" bd="1px solid var(--line)" aria-label={`Workspace ${workspace.name}`}>
        <Group gap="xs" wrap="nowrap">
          <IconBuilding size={18} stroke={1.7} aria-hidden />
          {!compact && (
            <>
              <Text size="sm" fw={600} truncate flex={1}>
                {workspace.name}
              </Text>
              <IconSelector size={16} aria-hidden />
            </>
          )}
        </Group>
      </UnstyledButton>
    </MenuButton>
  );
}

// The server's version, and a notice if it is paused.

function Version() {
  const state = useServerState();
  if (state === undefined) return null;
  return (
    <Quiet size="xs" px="xs" pt={4}>
      Headrace {state.version}
    </Quiet>
  );
}

/** Show a notice on every page while the server is paused: after a restore from a backup, or by a setting. */
function Paused() {
  const state = useServerState();
  if (!state?.paused) return null;
  return (
    <Group role="status" px="md" py={8} gap="xs" wrap="nowrap" className={classes.paused}>
      <IconPlayerPause size={18} color="var(--waiting)" aria-hidden style={{ flexShrink: 0 }} />
      <Text size="sm">
        The server is paused: triggers do not start flows, and new runs are refused. An administrator can resume it with
        the command <Code>resume</Code>.
      </Text>
    </Group>
  );
}

/** Number of failures to ignore: one may be a restart. */
const FAILURES = 2;

function isAway(error: unknown): boolean {
  return error instanceof ApiError && [0, 502, 504].includes(error.status);
}

/** Return true if a cache event shows that the server is away, False if it is there, undefined for neither. */
export function toldBy(event: Parameters<Parameters<QueryCache["subscribe"]>[0]>[0]): boolean | undefined {
  if (event.type !== "updated") return undefined;
  const { action } = event;
  if (action.type === "success") return action.manual ? undefined : false;
  if (action.type === "failed" && action.failureCount < FAILURES) return undefined;
  if (action.type !== "failed" && action.type !== "error") return undefined;
  return isAway(action.error) ? true : undefined;
}

/** Show a notice while the server cannot be reached and pages wait for it or show old data. */
function ServerAway() {
  const client = useQueryClient();
  const [away, setAway] = useState(false);
  useEffect(
    () =>
      client.getQueryCache().subscribe((event) => {
        const told = toldBy(event);
        if (told !== undefined) setAway(told);
      }),
    [client],
  );
  return (
    <div role="status">
      {away && (
        <Group px="md" py={8} gap="xs" wrap="nowrap" className={classes.away}>
          <IconPlugConnectedX size={18} color="var(--failed)" aria-hidden style={{ flexShrink: 0 }} />
          <Text size="sm">The server cannot be reached. The page may show old data. Reconnecting…</Text>
        </Group>
      )}
    </div>
  );
}

const LABEL = "Search and commands";
const CommandPalette = lazily(() => import("../commands/CommandPalette"));

/** Return true if a dialog is open: its input would be lost on another page. */
function isInDialog(): boolean {
  return document.querySelector("[role=dialog][aria-modal=true]") !== null;
}

interface Opening {
  open: () => void;
  /** The palette, once it was opened: its code is loaded then. */
  palette: ReactNode;
}

/** The command palette and its key. */
function usePalette(): Opening {
  const [state, setState] = useState({ wanted: false, opened: false });
  const open = () => setState({ wanted: true, opened: true });
  useEffect(() => {
    function onKeyDown(event: KeyboardEvent) {
      if (!isPaletteKey(event) || event.defaultPrevented) return;
      event.preventDefault();
      if (!isInDialog()) setState({ wanted: true, opened: true });
    }
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  }, []);
  const palette = state.wanted && (
    <Suspense fallback={null}>
      <CommandPalette opened={state.opened} onClose={() => setState({ wanted: true, opened: false })} />
    </Suspense>
  );
  return { open, palette };
}

/** The button that opens the command palette: with its shortcut in the navigation, as an icon on small screens. */
function PaletteButton({ compact, onClick }: { compact: boolean; onClick: () => void }) {
  if (compact) {
    return (
      <ActionIcon
        variant="subtle"
        color="gray"
        size={44}
        title={`${LABEL} (${PALETTE_KEY})`}
        aria-label={LABEL}
        onClick={onClick}
      >
        <IconSearch size={18} stroke={1.7} aria-hidden />
      </ActionIcon>
    );
  }
  return (
    <UnstyledButton w="100%" px="xs" py={6} bdrs="md" bd="1px solid var(--line)" onClick={onClick}>
      <Group gap="xs" wrap="nowrap">
        <IconSearch size={18} stroke={1.7} aria-hidden />
        <Quiet flex={1}>Search</Quiet>
        <Kbd size="xs">{PALETTE_KEY}</Kbd>
      </Group>
    </UnstyledButton>
  );
}

const TourCard = lazily(() => import("../tour/TourCard"));

/** Return true if the menu shows icons only: beside the canvas, on a screen wider than a phone. */
function useCompact(): boolean {
  const [onCanvas] = useRoute("/flows/:id");
  const isPhone = useMediaQuery("(max-width: 48em)", false, { getInitialValueInEffect: false });
  return onCanvas && !isPhone;
}

export function Shell({ children }: { children: ReactNode }) {
  const [opened, { toggle, close }] = useDisclosure();
  const [here] = useLocation();
  const compact = useCompact();
  const { open, palette } = usePalette();
  // biome-ignore lint/correctness/useExhaustiveDependencies: opening a page closes the menu of a phone
  useEffect(close, [here]);
  return (
    <AppShell
      navbar={{ width: compact ? 60 : 228, breakpoint: "sm", collapsed: { mobile: !opened } }}
      header={{ height: { base: 52, sm: 0 } }}
      padding={0}
      transitionDuration={0}
    >
      <a href="#content" className="skip-link">
        Skip to content
      </a>
      <AppShell.Header hiddenFrom="sm" bg="var(--card)">
        <Group h="100%" px="sm">
          <Burger opened={opened} onClick={toggle} size="sm" aria-label={opened ? "Close menu" : "Open menu"} />
          <Wordmark compact={false} />
          <Box ml="auto">
            <PaletteButton compact onClick={open} />
          </Box>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p={compact ? 8 : "sm"} bg="var(--card)" aria-label="Main">
        <AppShell.Section visibleFrom="sm" mb="sm" px={compact ? 10 : 4} pt={4}>
          <Wordmark compact={compact} />
        </AppShell.Section>
        <AppShell.Section mb="sm">
          <WorkspaceMenu compact={compact} />
        </AppShell.Section>
        <AppShell.Section mb="sm" visibleFrom="sm">
          <PaletteButton compact={compact} onClick={open} />
        </AppShell.Section>
        <AppShell.Section grow component={ScrollArea} type="auto">
          <Places compact={compact} onGo={close} />
        </AppShell.Section>
        <AppShell.Section>
          <UserMenu compact={compact} />
          {!compact && <Version />}
        </AppShell.Section>
      </AppShell.Navbar>
      <AppShell.Main h="100dvh" className={classes.main}>
        <Paused />
        <div id="content" tabIndex={-1} className={classes.content}>
          <ServerAway />
          {children}
        </div>
      </AppShell.Main>
      {palette}
      <TourHere />
    </AppShell>
  );
}

function Wordmark({ compact }: { compact: boolean }) {
  return (
    <UnstyledButton component={Link} href="/" aria-label="Headrace: go to dashboard">
      <Group gap={8} wrap="nowrap">
        <img src={mark} alt="" width={24} height={24} />
        {!compact && (
          <Text fw={700} size="lg" lts="-0.01em">
            Headrace
          </Text>
        )}
      </Group>
    </UnstyledButton>
  );
}

/** The tour, while it is on. */
function TourHere() {
  const { user } = useSession();
  const { step } = useTour(user.id);
  if (step === null) return null;
  return (
    <Suspense fallback={null}>
      <TourCard userId={user.id} at={step} />
    </Suspense>
  );
}
