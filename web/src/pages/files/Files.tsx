/** The workspace's files, which nodes read and write: list by folder, upload, preview, move, download, delete. */

import {
  ActionIcon,
  Anchor,
  Breadcrumbs,
  Checkbox,
  FileButton,
  Group,
  Progress,
  Stack,
  Text,
  Tooltip,
} from "@mantine/core";
import { useClipboard, useDisclosure } from "@mantine/hooks";
import {
  IconCopy,
  IconDownload,
  IconFile,
  IconFiles,
  IconFolder,
  IconPencil,
  IconTrash,
  IconUpload,
} from "@tabler/icons-react";
import { useCallback, useEffect, useRef, useState } from "react";
import { ApiError, api, server } from "@/api/client";
import { useReload } from "@/api/queries";
import { sendForm } from "@/api/sendForm";
import { useSession } from "@/app/session";
import classes from "@/pages/flows/flows.module.css";
import { useFileDrop } from "@/pages/flows/useFileDrop";
import { Button } from "@/ui/Button";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { NameDialog } from "@/ui/FormDialog";
import { size } from "@/ui/format";
import { itemsOf, LoadMore, PAGED } from "@/ui/LoadMore";
import { lazily } from "@/ui/lazily";
import { useQueryState, useSelection } from "@/ui/listState";
import { DotsMenu, MenuItem } from "@/ui/MenuItem";
import { notify } from "@/ui/notify";
import { Card, Page } from "@/ui/Page";
import { Quiet } from "@/ui/Quiet";
import { Empty, LoadingRows, messageOf, Refused } from "@/ui/states";
import { Actions, Table, Td, Tr } from "@/ui/Table";
import { Time } from "@/ui/Time";
import { addressOf, canShow, type FileEntry, trail } from "./folders";

interface Upload extends Sending {
  id: number;
  state: "waits" | "goes" | "exists" | "failed";
  /** The fraction sent, 0 to 1. */
  part: number;
  error?: unknown;
}

/** The uploads of a page, one at a time. Finished uploads leave the list; leaving the page cancels the rest. */
function useUploads(onDone: () => void) {
  const [uploads, setUploads] = useState<readonly Upload[]>([]);
  const next = useRef(0);
  const told = useRef(onDone);
  told.current = onDone;
  const [stop] = useState(() => new AbortController());
  useEffect(() => () => stop.abort(), [stop]);

  const patch = useCallback((id: number, change: Partial<Upload>) => {
    setUploads((all) => all.map((one) => (one.id === id ? { ...one, ...change } : one)));
  }, []);
  const drop = useCallback((id: number) => setUploads((all) => all.filter((one) => one.id !== id)), []);
  const add = useCallback((files: readonly File[], folder: string) => {
    const made = files.map((file): Upload => {
      next.current += 1;
      return { id: next.current, file, folder, overwrite: false, state: "waits", part: 0 };
    });
    setUploads((all) => [...all, ...made]);
  }, []);
  const again = useCallback(
    (id: number, overwrite: boolean) => patch(id, { state: "waits", overwrite, part: 0, error: undefined }),
    [patch],
  );

  const going = uploads.find((one) => one.state === "goes");
  const waiting = uploads.find((one) => one.state === "waits");
  useEffect(() => {
    if (going !== undefined || waiting === undefined) return;
    const { id } = waiting;
    patch(id, { state: "goes" });
    upload(waiting, (part) => patch(id, { part }), stop.signal)
      .then(() => {
        drop(id);
        told.current();
      })
      .catch((error: unknown) => {
        if (stop.signal.aborted) return;
        const exists = error instanceof ApiError && error.status === 409;
        patch(id, { state: exists ? "exists" : "failed", error });
      });
  }, [going, waiting, patch, drop, stop]);

  return { uploads, add, again, drop };
}

interface Sending {
  file: File;
  /** The target folder, with a trailing slash; empty for the root. */
  folder: string;
  overwrite: boolean;
}

/** Resolve when the server has the file. `onProgress` gets the fraction sent, 0 to 1. Throws ApiError. */
function upload(
  { file, folder, overwrite }: Sending,
  onProgress: (part: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const form = new FormData();
  form.set("path", folder);
  form.set("overwrite", String(overwrite));
  form.set("file", file, file.name);
  return sendForm("/api/files", form, onProgress, signal);
}

type Uploading = Pick<ReturnType<typeof useUploads>, "uploads" | "again" | "drop">;

/** The progress of each upload, and actions for failed ones. Renders nothing without uploads. */
function Uploads({ uploads, again, drop }: Uploading) {
  if (uploads.length === 0) return null;
  return (
    <Card title="Uploads">
      <Stack gap="sm">
        {uploads.map((one) => (
          <Row key={one.id} upload={one} again={again} drop={drop} />
        ))}
      </Stack>
    </Card>
  );
}

function Row({ upload, again, drop }: { upload: Upload } & Omit<Uploading, "uploads">) {
  const { id, file, folder, state, part, error } = upload;
  const isOver = state === "exists" || state === "failed";
  return (
    <div>
      <Group justify="space-between" gap="xs" wrap="nowrap">
        <Text size="sm" fw={550} style={{ overflowWrap: "anywhere" }}>
          {folder}
          {file.name}
        </Text>
        {isOver && (
          <Group gap="xs" wrap="nowrap">
            <Button size="compact-sm" variant="default" onClick={() => again(id, state === "exists")}>
              {state === "exists" ? "Replace" : "Try again"}
            </Button>
            <Button size="compact-sm" variant="default" onClick={() => drop(id)}>
              {state === "exists" ? "Keep existing" : "Discard"}
            </Button>
          </Group>
        )}
      </Group>
      {isOver ? (
        <Text size="sm" c="var(--failed)" role="alert">
          {state === "exists" ? "A file with this name already exists." : messageOf(error)}
        </Text>
      ) : (
        <Progress mt={4} value={100 * part} animated={state === "goes"} aria-label={`Upload of ${file.name}`} />
      )}
    </div>
  );
}

// A file or a folder in the list, with its actions.

const Preview = lazily(() => import("./Preview"));

interface FileRowProps {
  file: FileEntry;
  isChosen: boolean;
  onChoose: () => void;
  onOpen: (folder: string) => void;
  onChanged: () => Promise<void>;
}

function FileRow({ file, isChosen, onChoose, onOpen, onChanged }: FileRowProps) {
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
        <DotsMenu button={{ label: `Actions of ${file.name}` }}>
          <MenuItem icon={IconCopy} onClick={copyPath}>
            Copy path for nodes
          </MenuItem>
          {may("editor") && (
            <MenuItem icon={IconPencil} onClick={rename.open}>
              Rename or move
            </MenuItem>
          )}
        </DotsMenu>
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
        <Button {...props} icon={IconUpload}>
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
      <Quiet>
        {size(data.used)} of {size(data.quota)} used
      </Quiet>
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
    return query.error ? <Refused error={query.error} onRetry={() => void query.refetch()} /> : <LoadingRows />;
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
            <Button size="compact-sm" variant="default" icon={IconTrash} onClick={asking.open}>
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
