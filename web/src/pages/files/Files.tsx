/** The workspace's files, which nodes read and write: list by folder, upload, download, delete. */
import { ActionIcon, Anchor, Breadcrumbs, Button, FileButton, Group, Text, Tooltip } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconDownload, IconFile, IconFiles, IconFolder, IconTrash, IconUpload } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { api, server } from "@/api/client";
import { useSession } from "@/app/session";
import classes from "@/pages/flows/flows.module.css";
import { useFileDrop } from "@/pages/flows/useFileDrop";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { size } from "@/ui/format";
import { itemsOf, LoadMore, PAGED } from "@/ui/LoadMore";
import { Card, Page } from "@/ui/Page";
import { Empty, LoadingRows, Refused } from "@/ui/states";
import { Actions, Table, Td, Tr } from "@/ui/Table";
import { Time } from "@/ui/Time";
import { useQueryState } from "@/ui/useQueryState";
import { addressOf, type FileEntry, trail, within } from "./folders";
import { Uploads } from "./Uploads";
import { useUploads } from "./useUploads";

/** `folder` ends with a slash, or is empty. */
const FILTERS = { folder: "" };
const PAGE = 200;

export default function Files() {
  const { may } = useSession();
  const client = useQueryClient();
  const { values, change } = useQueryState(FILTERS);
  const { folder } = values;
  const reload = () => client.invalidateQueries({ queryKey: ["get", "/api/files"] });
  const { uploads, add, again, drop } = useUploads(() => void reload());
  const mayChange = may("editor");
  const isOver = useFileDrop((files) => add(files, folder), mayChange);
  const button = mayChange && (
    <FileButton multiple onChange={(files) => add(files, folder)}>
      {(props) => (
        <Button {...props} leftSection={<IconUpload size={16} aria-hidden />}>
          Upload
        </Button>
      )}
    </FileButton>
  );
  return (
    <Page
      title="Files"
      docs="files"
      about="Files of this workspace. Flows read and write them with the File node."
      actions={button}
    >
      <Uploads uploads={uploads} again={again} drop={drop} />
      {folder !== "" && <Trail folder={folder} onOpen={(path) => change({ folder: path })} />}
      <List folder={folder} onOpen={(path) => change({ folder: path })} onChanged={reload} />
      {isOver && <div className={classes.drop}>Drop files to upload them</div>}
    </Page>
  );
}

interface TrailProps {
  folder: string;
  onOpen: (path: string) => void;
}

/** Breadcrumbs of the folder. */
function Trail({ folder, onOpen }: TrailProps) {
  const above = [{ name: "All files", path: "" }, ...trail(folder)];
  return (
    <Breadcrumbs component="nav" aria-label="Folders" style={{ flexWrap: "wrap" }}>
      {above.map(({ name, path }) =>
        path === folder ? (
          <Text key={path} size="sm" fw={600} aria-current="page" style={{ overflowWrap: "anywhere" }}>
            {name}
          </Text>
        ) : (
          <Anchor key={path} component="button" type="button" size="sm" onClick={() => onOpen(path)}>
            {name}
          </Anchor>
        ),
      )}
    </Breadcrumbs>
  );
}

function List({ folder, onOpen, onChanged }: TrailProps & { onChanged: () => Promise<void> }) {
  const params = { query: { prefix: folder, limit: PAGE } };
  const query = api.useInfiniteQuery("get", "/api/files", { params }, PAGED);
  if (query.data === undefined) {
    return query.error ? (
      <Refused error={query.error} onRetry={() => void query.refetch()} />
    ) : (
      <LoadingRows />
    );
  }
  const { folders, files } = within(folder, itemsOf(query.data));
  if (folders.length + files.length === 0) return <Nothing folder={folder} />;
  return (
    <Card pad={false}>
      <Table label="Files" head={["Name", "Size", "Changed", ""]} minWidth={560}>
        {folders.map(({ name, path }) => (
          <Tr key={path}>
            <Td>
              <Named icon={<IconFolder size={18} aria-hidden />}>
                <Anchor component="button" type="button" size="sm" fw={550} onClick={() => onOpen(path)}>
                  {name}
                </Anchor>
              </Named>
            </Td>
            <Td c="var(--quiet)">Folder</Td>
            <Td />
            <Actions>{null}</Actions>
          </Tr>
        ))}
        {files.map((file) => (
          <Row key={file.path} file={file} onChanged={onChanged} />
        ))}
      </Table>
      <LoadMore query={query} noun="files" />
    </Card>
  );
}

function Named({ icon, children }: { icon: ReactNode; children: ReactNode }) {
  return (
    <Group gap="xs" wrap="nowrap" style={{ overflowWrap: "anywhere" }}>
      {icon}
      {children}
    </Group>
  );
}

function Row({ file, onChanged }: { file: FileEntry; onChanged: () => Promise<void> }) {
  const { may, workspace } = useSession();
  const [asked, asking] = useDisclosure(false);
  return (
    <Tr>
      <Td>
        <Named icon={<IconFile size={18} aria-hidden />}>
          <Text size="sm" fw={550}>
            {file.name}
          </Text>
        </Named>
      </Td>
      <Td style={{ whiteSpace: "nowrap" }}>{size(file.size)}</Td>
      <Td style={{ whiteSpace: "nowrap" }}>
        <Time at={file.modified_at} />
      </Td>
      <Actions>
        {may("operator") && (
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
        {may("editor") && (
          <Tooltip label="Delete">
            <ActionIcon variant="subtle" color="red" aria-label={`Delete ${file.name}`} onClick={asking.open}>
              <IconTrash size={18} aria-hidden />
            </ActionIcon>
          </Tooltip>
        )}
        <ConfirmDialog
          opened={asked}
          onClose={asking.close}
          title={`Delete “${file.name}”?`}
          action="Delete"
          danger
          onConfirm={async () => {
            await server.DELETE("/api/files/{path}", { params: { path: { path: file.path } } });
            await onChanged();
          }}
        >
          This cannot be undone. Flows that read this file will fail.
        </ConfirmDialog>
      </Actions>
    </Tr>
  );
}

function Nothing({ folder }: { folder: string }) {
  const { may } = useSession();
  return (
    <Empty
      icon={<IconFiles size={40} stroke={1.4} color="var(--quiet)" aria-hidden />}
      title={folder === "" ? "No files yet" : "This folder is empty"}
      hint={
        may("editor")
          ? "Upload files or drop them here. Flows can write files too."
          : "Flows and editors can add files."
      }
    />
  );
}
