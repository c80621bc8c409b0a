/** The workspace's files, which nodes read and write: list by folder, upload, preview, move, download, delete. */
import { Anchor, Breadcrumbs, Button, Checkbox, FileButton, Group, Progress, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconFiles, IconTrash, IconUpload } from "@tabler/icons-react";
import { api, server } from "@/api/client";
import { useReload } from "@/api/queries";
import { useSession } from "@/app/session";
import classes from "@/pages/flows/flows.module.css";
import { useFileDrop } from "@/pages/flows/useFileDrop";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { size } from "@/ui/format";
import { itemsOf, LoadMore, PAGED } from "@/ui/LoadMore";
import { Card, Page } from "@/ui/Page";
import { Empty, LoadingRows, Refused } from "@/ui/states";
import { Table } from "@/ui/Table";
import { useQueryState } from "@/ui/useQueryState";
import { useSelection } from "@/ui/useSelection";
import { FileRow } from "./FileRow";
import { trail } from "./folders";
import { Uploads } from "./Uploads";
import { useUploads } from "./useUploads";

/** `folder` ends with a slash, or is empty. */
const FILTERS = { folder: "" };
const PAGE = 200;

export default function Files() {
  const { may } = useSession();
  const reload = useReload("/api/files", "/api/files-usage");
  const { values, change } = useQueryState(FILTERS);
  const { folder } = values;
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
      <Usage />
      <Uploads uploads={uploads} again={again} drop={drop} />
      {folder !== "" && <Trail folder={folder} onOpen={(path) => change({ folder: path })} />}
      <List key={folder} folder={folder} onOpen={(path) => change({ folder: path })} onChanged={reload} />
      {isOver && <div className={classes.drop}>Drop files to upload them</div>}
    </Page>
  );
}

/** How much of the quota is used; nothing without a quota. */
function Usage() {
  const { data } = api.useQuery("get", "/api/files-usage");
  if (data === undefined || data.quota === null) return null;
  // Whole percents: a screen reader cannot say 7.45e-8.
  const part = Math.round((100 * data.used) / data.quota);
  return (
    <div>
      <Text size="sm" c="var(--quiet)">
        {size(data.used)} of {size(data.quota)} used
      </Text>
      <Progress
        value={part}
        color={part > 90 ? "red" : undefined}
        maw={320}
        mt={4}
        aria-label="Used part of the quota"
      />
    </div>
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
  const { may } = useSession();
  const params = { query: { folder, limit: PAGE } };
  const query = api.useInfiniteQuery("get", "/api/files", { params }, PAGED);
  const items = itemsOf(query.data);
  const selection = useSelection(items.map(({ path }) => path));
  const [asked, asking] = useDisclosure(false);
  if (query.data === undefined) {
    return query.error ? (
      <Refused error={query.error} onRetry={() => void query.refetch()} />
    ) : (
      <LoadingRows />
    );
  }
  if (items.length === 0) return <Nothing folder={folder} />;
  const chosen = items.map(({ path }) => path).filter((path) => selection.has(path));
  return (
    <Card pad={false}>
      {may("editor") && (
        <Group p="xs" gap="md">
          <Checkbox
            size="xs"
            label={selection.size > 0 ? `${selection.size} selected` : "Select all"}
            checked={selection.all}
            indeterminate={selection.size > 0 && !selection.all}
            onChange={selection.toggleAll}
          />
          {selection.size > 0 && (
            <Button
              size="compact-sm"
              variant="default"
              leftSection={<IconTrash size={14} aria-hidden />}
              onClick={asking.open}
            >
              Delete
            </Button>
          )}
        </Group>
      )}
      <Table label="Files" head={["Name", "Size", "Changed", ""]} minWidth={560}>
        {items.map((file) => (
          <FileRow
            key={file.path}
            file={file}
            isChosen={selection.has(file.path)}
            onChoose={() => selection.toggle(file.path)}
            onOpen={onOpen}
            onChanged={onChanged}
          />
        ))}
      </Table>
      <LoadMore query={query} noun="files" />
      <ConfirmDialog
        opened={asked}
        onClose={asking.close}
        title={chosen.length === 1 ? `Delete “${chosen[0]}”?` : `Delete ${chosen.length} files and folders?`}
        action="Delete"
        danger
        onConfirm={async () => {
          for (let at = 0; at < chosen.length; at += 200) {
            await server.POST("/api/files-delete", { body: { paths: chosen.slice(at, at + 200) } });
          }
          selection.clear();
          await onChanged();
        }}
      >
        This cannot be undone. Folders are deleted with everything in them.
      </ConfirmDialog>
    </Card>
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
