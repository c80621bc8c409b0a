import { Group, Text, UnstyledButton } from "@mantine/core";
import { IconBuilding, IconSelector } from "@tabler/icons-react";
import { useSession } from "../session";
import { MenuButton } from "./MenuButton";

/** The menu of workspaces: the current one and the others. */
export function WorkspaceMenu({ compact }: { compact: boolean }) {
  const { workspace } = useSession();
  return (
    <MenuButton
      load={() => import("./WorkspaceMenuItems")}
      menu={{ width: compact ? 220 : "target", position: "bottom-start" }}
    >
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
    </MenuButton>
  );
}
