import { Menu } from "@mantine/core";
import { IconCheck } from "@tabler/icons-react";
import { Link, useLocation } from "wouter";
import { useSession } from "../session";

/** The items of the menu of workspaces. */
export default function WorkspaceMenuItems() {
  const { workspace, workspaces, switchTo } = useSession();
  const [, go] = useLocation();
  return (
    <>
      <Menu.Label>Workspaces</Menu.Label>
      {workspaces.map((one) => (
        <Menu.Item
          key={one.id}
          leftSection={one.id === workspace.id ? <IconCheck size={16} aria-hidden /> : <span style={{ width: 16 }} />}
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
    </>
  );
}
