import { Group, Menu, Text, UnstyledButton } from "@mantine/core";
import { IconBuilding, IconCheck, IconSelector } from "@tabler/icons-react";
import { Link, useLocation } from "wouter";
import { useSession } from "../session";

/** The menu of workspaces: the current one and the others. */
export function WorkspaceMenu({ compact }: { compact: boolean }) {
  const { workspace, workspaces, switchTo } = useSession();
  const [, go] = useLocation();
  return (
    <Menu width={compact ? 220 : "target"} position="bottom-start" shadow="md">
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
