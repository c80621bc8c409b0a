/** The commands of every page: pages, actions, workspaces. */
import { useMantineColorScheme } from "@mantine/core";
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
  IconSun,
  IconUser,
} from "@tabler/icons-react";
import type { ReactNode } from "react";
import { useSession } from "../session";
import { PLACES, type Place, useIsOpen, WORKSPACE } from "../shell/Places";
import type { Command } from "./commands";

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

function action(
  id: string,
  label: string,
  shown: Icon,
  run: () => void,
  more: Partial<Command> = {},
): Command {
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
export function useAppCommands(go: Go, showKeys: () => void): Command[] {
  const { may, logOut, workspace, workspaces, switchTo } = useSession();
  const pages = usePages(go);
  const appearance = useAppearance();
  const creating = may("editor")
    ? [
        action("new", "New flow", IconPlus, () => go("/flows?new=flow"), { words: "create add workflow" }),
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
    action("docs", "Documentation", IconBook, () => void window.open("/docs", "_blank"), {
      words: "help manual",
    }),
    action("api", "API reference", IconListDetails, () => void window.open("/api/docs", "_blank"), {
      searched: true,
    }),
    ...appearance,
    ...others,
    action("log out", "Log out", IconLogout, () => void logOut(), { words: "sign out", searched: true }),
    ...pages,
  ];
}
