import { Group, Stack, Text, UnstyledButton } from "@mantine/core";
import { IconChevronDown, IconUser } from "@tabler/icons-react";
import { useSession } from "../session";
import { MenuButton } from "./MenuButton";

/** The user menu: profile, documentation, appearance, log out. */
export function UserMenu({ compact }: { compact: boolean }) {
  const { user, role } = useSession();
  return (
    <MenuButton load={() => import("./UserMenuItems")} menu={{ width: 220, position: "top-start" }}>
      <UnstyledButton w="100%" p="xs" bdrs="md">
        <Group gap="xs" wrap="nowrap">
          <IconUser
            size={18}
            stroke={1.7}
            role="img"
            aria-label={compact ? `Account: ${user.name}` : "Account:"}
          />
          {!compact && (
            <>
              <Stack gap={0} flex={1} miw={0}>
                <Text size="sm" fw={550} truncate>
                  {user.name}
                </Text>
                <Text size="xs" c="var(--quiet)" tt="capitalize">
                  {role}
                </Text>
              </Stack>
              <IconChevronDown size={16} aria-hidden />
            </>
          )}
        </Group>
      </UnstyledButton>
    </MenuButton>
  );
}
