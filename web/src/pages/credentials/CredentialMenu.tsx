import { ActionIcon, Menu } from "@mantine/core";
import { IconDots, IconPencil, IconPlugConnected, IconTrash } from "@tabler/icons-react";
import type { Credential } from "@/api/credentials";

export type Doing = "edit" | "test" | "delete";

interface CredentialMenuProps {
  credential: Credential;
  onDo: (doing: Doing, credential: Credential) => void;
}

export function CredentialMenu({ credential, onDo }: CredentialMenuProps) {
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label={`Actions for ${credential.name}`}>
          <IconDots size={18} aria-hidden />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item
          leftSection={<IconPlugConnected size={16} aria-hidden />}
          onClick={() => onDo("test", credential)}
        >
          Test
        </Menu.Item>
        <Menu.Item
          leftSection={<IconPencil size={16} aria-hidden />}
          onClick={() => onDo("edit", credential)}
        >
          Edit
        </Menu.Item>
        <Menu.Item
          c="var(--failed)"
          leftSection={<IconTrash size={16} aria-hidden />}
          onClick={() => onDo("delete", credential)}
        >
          Delete
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
