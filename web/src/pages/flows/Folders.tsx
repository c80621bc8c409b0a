/** Folders in the list of flows: the trail to the open folder, its menu, and its subfolders as rows. */

import { Anchor, Breadcrumbs, Group, Text } from "@mantine/core";
import { IconCursorText, IconFolder, IconFolderOff } from "@tabler/icons-react";
import { useState } from "react";
import { Link, useLocation } from "wouter";
import { useSession } from "@/app/session";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { NameDialog } from "@/ui/FormDialog";
import { count } from "@/ui/format";
import { DotsMenu, MenuItem } from "@/ui/MenuItem";
import { Quiet } from "@/ui/Quiet";
import { addressOf, type Folder, nameOf, parentOf, trailOf } from "./filters";
import { useFlowActions } from "./flows";
import classes from "./flows.module.css";

const MAX_PATH = 200;

/** The path to the open folder. */
export function FolderTrail({ folder }: { folder: string }) {
  const trail = trailOf(folder);
  return (
    <Group gap="xs" wrap="nowrap" component="nav" aria-label="Folder">
      <Breadcrumbs separatorMargin={6} style={{ flexWrap: "wrap", rowGap: 2 }}>
        <Anchor component={Link} href={addressOf("")}>
          All flows
        </Anchor>
        {trail.map((path) =>
          path === folder ? (
            <Text key={path} fw={600} aria-current="page" className={classes.place}>
              {nameOf(path)}
            </Text>
          ) : (
            <Anchor key={path} component={Link} href={addressOf(path)} className={classes.place}>
              {nameOf(path)}
            </Anchor>
          ),
        )}
      </Breadcrumbs>
      <FolderMenu folder={folder} isOpen />
    </Group>
  );
}

/** A subfolder of the open folder, as a row of the list. */
export function FolderRow({ folder }: { folder: Folder }) {
  return (
    <li className={classes.folder}>
      <IconFolder size={20} color="var(--quiet)" aria-hidden />
      <Anchor
        component={Link}
        href={addressOf(folder.path)}
        fw={600}
        c="var(--mantine-color-text)"
        className={classes.place}
      >
        {nameOf(folder.path)}
      </Anchor>
      <Quiet size="xs" ml="auto" style={{ flexShrink: 0 }}>
        {folder.flows === 1 ? "1 flow" : `${count(folder.flows)} flows`}
      </Quiet>
      <FolderMenu folder={folder.path} />
    </li>
  );
}

/** `isOpen`: the page shows the folder, and follows it when it moves. */
function FolderMenu({ folder, isOpen = false }: { folder: string; isOpen?: boolean }) {
  const { may } = useSession();
  const { moveFolder } = useFlowActions();
  const [, go] = useLocation();
  const [asking, setAsking] = useState<"rename" | "dissolve" | null>(null);
  if (!may("editor")) return null;
  const name = nameOf(folder);
  const parent = parentOf(folder);

  async function move(to: string) {
    await moveFolder(folder, to === "" ? null : to);
    if (isOpen) go(addressOf(to), { replace: true });
  }
  return (
    <>
      <DotsMenu button={{ label: `Actions for folder ${name}`, c: "var(--quiet)" }} shadow="md" width={220}>
        <MenuItem icon={IconCursorText} onClick={() => setAsking("rename")}>
          Rename or move…
        </MenuItem>
        <MenuItem icon={IconFolderOff} onClick={() => setAsking("dissolve")}>
          Dissolve folder…
        </MenuItem>
      </DotsMenu>
      <NameDialog
        opened={asking === "rename"}
        onClose={() => setAsking(null)}
        title="Rename or move folder"
        action="Save"
        label="Path"
        hint="Up to 4 names, separated by slashes. If the folder exists, the two are merged."
        initial={folder}
        maxLength={MAX_PATH}
        onName={move}
      />
      <ConfirmDialog
        opened={asking === "dissolve"}
        onClose={() => setAsking(null)}
        title={`Dissolve the folder “${name}”?`}
        action="Dissolve"
        onConfirm={() => move(parent)}
      >
        Its flows and subfolders move to {parent === "" ? "the top of the list" : `“${nameOf(parent)}”`}. No flow is
        deleted.
      </ConfirmDialog>
    </>
  );
}
