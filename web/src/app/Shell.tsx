/** The frame around every page: where one is, where one can go, who one is. */
import {
  AppShell,
  Badge,
  Burger,
  Group,
  Menu,
  NavLink,
  ScrollArea,
  Stack,
  Text,
  UnstyledButton,
  useMantineColorScheme,
} from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import {
  IconBuilding,
  IconCheck,
  IconChevronDown,
  IconDeviceDesktop,
  IconHistory,
  IconKey,
  IconLayoutDashboard,
  IconListDetails,
  IconLogout,
  IconMoon,
  IconPlayerPlay,
  IconRobot,
  IconRoute,
  IconSelector,
  IconShieldLock,
  IconSun,
  IconTemplate,
  IconUser,
  IconUserCheck,
  IconUsers,
} from "@tabler/icons-react";
import { type ReactNode, useEffect } from "react";
import { Link, useLocation } from "wouter";
import mark from "./mark.svg";
import { type Role, useSession } from "./session";
import { useWaitingCount } from "./waiting";

interface Place {
  path: string;
  label: string;
  icon: typeof IconRoute;
  role?: Role;
}

const PLACES: Place[] = [
  { path: "/", label: "Dashboard", icon: IconLayoutDashboard },
  { path: "/flows", label: "Flows", icon: IconRoute },
  { path: "/templates", label: "Templates", icon: IconTemplate },
  { path: "/runs", label: "Runs", icon: IconPlayerPlay },
  { path: "/waiting", label: "Waiting for you", icon: IconUserCheck },
  { path: "/agents", label: "Agents", icon: IconRobot },
  { path: "/logs", label: "Logs", icon: IconListDetails },
];

const WORKSPACE: Place[] = [
  { path: "/credentials", label: "Credentials", icon: IconShieldLock, role: "editor" },
  { path: "/members", label: "Members", icon: IconUsers },
  { path: "/tokens", label: "API tokens", icon: IconKey },
  { path: "/audit", label: "Audit trail", icon: IconHistory, role: "owner" },
];

function isAt(path: string, here: string): boolean {
  return path === "/" ? here === "/" : here === path || here.startsWith(`${path}/`);
}

function Places({ places, onGo }: { places: Place[]; onGo: () => void }) {
  const [here] = useLocation();
  const { may } = useSession();
  const waiting = useWaitingCount();
  return (
    <>
      {places
        .filter((place) => place.role === undefined || may(place.role))
        .map(({ path, label, icon: Icon }) => (
          <NavLink
            key={path}
            component={Link}
            href={path}
            label={label}
            onClick={onGo}
            active={isAt(path, here)}
            aria-current={isAt(path, here) ? "page" : undefined}
            leftSection={<Icon size={18} stroke={1.7} aria-hidden />}
            rightSection={
              path === "/waiting" && waiting > 0 ? (
                <Badge size="sm" circle={waiting < 10} aria-label={`${waiting} waiting`}>
                  {waiting}
                </Badge>
              ) : undefined
            }
            bdrs="md"
            py={7}
          />
        ))}
    </>
  );
}

function WorkspaceMenu() {
  const { workspace, workspaces, switchTo } = useSession();
  const [, go] = useLocation();
  return (
    <Menu width="target" position="bottom-start" shadow="md">
      <Menu.Target>
        <UnstyledButton
          w="100%"
          p="xs"
          bdrs="md"
          bd="1px solid var(--line)"
          aria-label={`Workspace ${workspace.name}`}
        >
          <Group gap="xs" wrap="nowrap">
            <IconBuilding size={18} stroke={1.7} aria-hidden />
            <Text size="sm" fw={600} truncate flex={1}>
              {workspace.name}
            </Text>
            <IconSelector size={16} aria-hidden />
          </Group>
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>Workspaces</Menu.Label>
        {workspaces.map((one) => (
          <Menu.Item
            key={one.id}
            leftSection={
              one.id === workspace.id ? <IconCheck size={16} aria-hidden /> : <span style={{ width: 16 }} />
            }
            onClick={() => {
              switchTo(one.id);
              go("/");
            }}
          >
            {one.name}
          </Menu.Item>
        ))}
        <Menu.Divider />
        <Menu.Item component={Link} href="/members">
          Manage workspaces
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

const SCHEMES = [
  { value: "light", label: "Light", icon: IconSun },
  { value: "dark", label: "Dark", icon: IconMoon },
  { value: "auto", label: "As the system", icon: IconDeviceDesktop },
] as const;

function UserMenu() {
  const { user, role, logOut } = useSession();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <Menu width={220} position="top-start" shadow="md">
      <Menu.Target>
        <UnstyledButton w="100%" p="xs" bdrs="md">
          <Group gap="xs" wrap="nowrap">
            <IconUser size={18} stroke={1.7} role="img" aria-label="Account:" />
            <Stack gap={0} flex={1} miw={0}>
              <Text size="sm" fw={550} truncate>
                {user.name}
              </Text>
              <Text size="xs" c="var(--quiet)">
                {role}
              </Text>
            </Stack>
            <IconChevronDown size={16} aria-hidden />
          </Group>
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item component={Link} href="/profile" leftSection={<IconUser size={16} aria-hidden />}>
          Profile
        </Menu.Item>
        <Menu.Item
          component="a"
          href="/api/docs"
          target="_blank"
          leftSection={<IconListDetails size={16} aria-hidden />}
        >
          API reference
        </Menu.Item>
        <Menu.Divider />
        <Menu.Label>Appearance</Menu.Label>
        {SCHEMES.map(({ value, label, icon: Icon }) => (
          <Menu.Item
            key={value}
            leftSection={<Icon size={16} aria-hidden />}
            rightSection={colorScheme === value ? <IconCheck size={16} aria-label="chosen" /> : undefined}
            onClick={() => setColorScheme(value)}
          >
            {label}
          </Menu.Item>
        ))}
        <Menu.Divider />
        <Menu.Item leftSection={<IconLogout size={16} aria-hidden />} onClick={() => void logOut()}>
          Log out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

export function Shell({ children }: { children: ReactNode }) {
  const [opened, { toggle, close }] = useDisclosure();
  const [here] = useLocation();
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new page closes the menu of a phone
  useEffect(close, [here]);
  return (
    <AppShell
      navbar={{ width: 228, breakpoint: "sm", collapsed: { mobile: !opened } }}
      header={{ height: { base: 52, sm: 0 } }}
      padding={0}
    >
      <a href="#content" className="skip-link">
        Skip to the content
      </a>
      <AppShell.Header hiddenFrom="sm" bg="var(--card)">
        <Group h="100%" px="sm">
          <Burger
            opened={opened}
            onClick={toggle}
            size="sm"
            aria-label={opened ? "Close the menu" : "Open the menu"}
          />
          <Wordmark />
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="sm" bg="var(--card)" aria-label="Main">
        <AppShell.Section visibleFrom="sm" mb="sm" px={4} pt={4}>
          <Wordmark />
        </AppShell.Section>
        <AppShell.Section mb="sm">
          <WorkspaceMenu />
        </AppShell.Section>
        <AppShell.Section grow component={ScrollArea} type="auto">
          <Places places={PLACES} onGo={close} />
          <Text size="xs" c="var(--quiet)" fw={600} mt="md" mb={4} px="sm">
            Workspace
          </Text>
          <Places places={WORKSPACE} onGo={close} />
        </AppShell.Section>
        <AppShell.Section>
          <UserMenu />
        </AppShell.Section>
      </AppShell.Navbar>
      <AppShell.Main id="content" h="100dvh" style={{ overflow: "auto" }} tabIndex={-1}>
        {children}
      </AppShell.Main>
    </AppShell>
  );
}

function Wordmark() {
  return (
    <UnstyledButton component={Link} href="/" aria-label="Headrace, to the dashboard">
      <Group gap={8}>
        <img src={mark} alt="" width={24} height={24} />
        <Text fw={700} size="lg" lts="-0.01em">
          Headrace
        </Text>
      </Group>
    </UnstyledButton>
  );
}
