/** A file or a folder in the list, with its actions. */
import { ActionIcon, Anchor, Checkbox, Group, Menu, Text, Tooltip } from "@mantine/core";
import { useClipboard, useDisclosure } from "@mantine/hooks";
import {
  IconCopy,
  IconDots,
  IconDownload,
  IconFile,
  IconFolder,
  IconPencil,
  IconTrash,
} from "@tabler/icons-react";
import { server } from "@/api/client";
import { useSession } from "@/app/session";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { size } from "@/ui/format";
import { lazily } from "@/ui/lazily";
import { NameDialog } from "@/ui/NameDialog";
import { notify } from "@/ui/notify";
import { Actions, Td, Tr } from "@/ui/Table";
import { Time } from "@/ui/Time";
import { addressOf, canShow, type FileEntry } from "./folders";

const Preview = lazily(() => import("./Preview"));

interface FileRowProps {
  file: FileEntry;
  isChosen: boolean;
  onChoose: () => void;
  onOpen: (folder: string) => void;
  onChanged: () => Promise<void>;
}

export function FileRow({ file, isChosen, onChoose, onOpen, onChanged }: FileRowProps) {
  const { may, workspace } = useSession();
  const [shown, preview] = useDisclosure(false);
  const [asked, asking] = useDisclosure(false);
  const [renaming, rename] = useDisclosure(false);
  const clipboard = useClipboard();
  const isFolder = file.type === "folder";
  const open = isFolder ? () => onOpen(file.path) : preview.open;
  const opens = isFolder || (may("operator") && canShow(file.content_type));
  const Icon = isFolder ? IconFolder : IconFile;

  function copyPath() {
    clipboard.copy(file.path);
    notify.done(`Copied ${file.path}`);
  }

  return (
    <Tr>
      <Td>
        <Group gap="xs" wrap="nowrap" style={{ overflowWrap: "anywhere" }}>
          {may("editor") && (
            <Checkbox size="xs" aria-label={`Select ${file.name}`} checked={isChosen} onChange={onChoose} />
          )}
          <Icon size={18} aria-hidden />
          {opens ? (
            <Anchor component="button" type="button" size="sm" fw={550} onClick={open}>
              {file.name}
            </Anchor>
          ) : (
            <Text size="sm" fw={550}>
              {file.name}
            </Text>
          )}
        </Group>
      </Td>
      <Td style={{ whiteSpace: "nowrap" }} c={isFolder ? "var(--quiet)" : undefined}>
        {isFolder ? "Folder" : size(file.size)}
      </Td>
      <Td style={{ whiteSpace: "nowrap" }}>
        <Time at={file.modified_at} />
      </Td>
      <Actions>
        {may("operator") && !isFolder && (
          <Tooltip label="Download">
            <ActionIcon
              component="a"
              href={addressOf(file.path, workspace.id)}
              download={file.name}
              variant="subtle"
              color="gray"
              aria-label={`Download ${file.name}`}
            >
              <IconDownload size={18} aria-hidden />
            </ActionIcon>
          </Tooltip>
        )}
        <Menu position="bottom-end">
          <Menu.Target>
            <ActionIcon variant="subtle" color="gray" aria-label={`Actions of ${file.name}`}>
              <IconDots size={18} aria-hidden />
            </ActionIcon>
          </Menu.Target>
          <Menu.Dropdown>
            <Menu.Item leftSection={<IconCopy size={16} aria-hidden />} onClick={copyPath}>
              Copy path for nodes
            </Menu.Item>
            {may("editor") && (
              <Menu.Item leftSection={<IconPencil size={16} aria-hidden />} onClick={rename.open}>
                Rename or move
              </Menu.Item>
            )}
          </Menu.Dropdown>
        </Menu>
        {may("editor") && (
          <Tooltip label="Delete">
            <ActionIcon variant="subtle" color="red" aria-label={`Delete ${file.name}`} onClick={asking.open}>
              <IconTrash size={18} aria-hidden />
            </ActionIcon>
          </Tooltip>
        )}
        <NameDialog
          opened={renaming}
          onClose={rename.close}
          title={`Rename or move “${file.name}”`}
          action="Move"
          label="Path"
          hint="Folders that do not exist are created. Flows that use the old path will fail."
          initial={file.path.replace(/\/$/, "")}
          maxLength={1_000}
          onName={async (to) => {
            await server.POST("/api/files-move", { body: { path: file.path.replace(/\/$/, ""), to } });
            await onChanged();
          }}
        />
        <ConfirmDialog
          opened={asked}
          onClose={asking.close}
          title={`Delete “${file.name}”?`}
          action="Delete"
          danger
          onConfirm={async () => {
            await server.POST("/api/files-delete", { body: { paths: [file.path] } });
            await onChanged();
          }}
        >
          {isFolder
            ? "This cannot be undone. Everything in the folder is deleted."
            : "This cannot be undone. Flows that read this file will fail."}
        </ConfirmDialog>
        {shown && <Preview file={file} onClose={preview.close} />}
      </Actions>
    </Tr>
  );
}
