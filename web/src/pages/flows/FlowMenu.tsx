import { ActionIcon, Anchor, Menu } from "@mantine/core";
import {
  IconArchive,
  IconArchiveOff,
  IconCopy,
  IconCursorText,
  IconDots,
  IconDownload,
  IconFolder,
  IconHistory,
  IconPlayerPlay,
  IconTag,
  IconTrash,
  IconUserSearch,
} from "@tabler/icons-react";
import { Suspense, useState } from "react";
import { Link } from "wouter";
import { useSession } from "@/app/session";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { NameDialog } from "@/ui/FormDialog";
import { lazily } from "@/ui/lazily";
import { notify } from "@/ui/notify";
import { definitionOf, type Flow, type FlowStatus, type NamedDefinition, useFlowActions } from "./flows";

type Asking = "rename" | "move" | "tag" | "archive" | "delete" | null;

const LabelDialogs = lazily(() => import("./LabelDialogs"));

interface FlowMenuProps {
  /** With its labels, if the menu changes them. */
  flow: Pick<Flow, "id" | "name" | "status"> & Partial<Pick<Flow, "has_draft" | "folder" | "tags">>;
  /** The button's accessible name. */
  label: string;
  size?: string;
  /** Return the flow as shown in the editor, which may be newer than the saved one. */
  shown?: () => NamedDefinition;
  onChanged?: (change: { name?: string; status?: FlowStatus }) => void;
  onDeleted?: () => void;
}

/** The menu of actions on a flow, in the list of flows and in the editor. */
export function FlowMenu(props: FlowMenuProps) {
  const { flow, label, size = "md", shown, onChanged, onDeleted } = props;
  const { may } = useSession();
  const actions = useFlowActions();
  const [asking, setAsking] = useState<Asking>(null);
  const isArchived = flow.status === "archived";
  // Copies and files have the changes that this user sees in the editor.
  const asShown = async () => shown?.() ?? (await definitionOf(flow.id, flow.has_draft && may("editor")));

  async function attempt(what: string, action: () => Promise<unknown>) {
    try {
      await action();
    } catch (error) {
      notify.refused(`“${flow.name}” could not be ${what}`, error);
    }
  }
  async function duplicate() {
    const made = await actions.duplicate(flow.id, await asShown());
    notify.done(
      <>
        Created{" "}
        <Anchor component={Link} href={`/flows/${made.id}`} inherit underline="always">
          {made.name}
        </Anchor>
      </>,
    );
  }
  async function restore() {
    await actions.setStatus(flow.id, "draft");
    onChanged?.({ status: "draft" });
    notify.done(`“${flow.name}” restored as inactive`);
  }

  return (
    <>
      <Menu position="bottom-end" shadow="md" width={200}>
        <Menu.Target>
          <ActionIcon variant="subtle" color="gray" c="var(--quiet)" size={size} aria-label={label}>
            <IconDots size={18} aria-hidden />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item
            component={Link}
            href={`/runs?flow=${flow.id}`}
            leftSection={<IconPlayerPlay size={16} aria-hidden />}
          >
            Runs
          </Menu.Item>
          <Menu.Item
            component={Link}
            href={`/flows/${flow.id}/versions`}
            leftSection={<IconHistory size={16} aria-hidden />}
          >
            Versions
          </Menu.Item>
          {may("owner") && (
            <Menu.Item
              component={Link}
              href={`/audit?target=${flow.id}`}
              leftSection={<IconUserSearch size={16} aria-hidden />}
            >
              Audit log
            </Menu.Item>
          )}
          <Menu.Item
            leftSection={<IconDownload size={16} aria-hidden />}
            onClick={() => void attempt("exported", async () => actions.save(flow.id, await asShown()))}
          >
            Export
          </Menu.Item>
          {may("editor") && (
            <>
              <Menu.Divider />
              <Menu.Item
                leftSection={<IconCopy size={16} aria-hidden />}
                onClick={() => void attempt("duplicated", duplicate)}
              >
                Duplicate
              </Menu.Item>
              <Menu.Item
                leftSection={<IconCursorText size={16} aria-hidden />}
                onClick={() => setAsking("rename")}
              >
                Rename
              </Menu.Item>
              {flow.tags !== undefined && (
                <>
                  <Menu.Item
                    leftSection={<IconFolder size={16} aria-hidden />}
                    onClick={() => setAsking("move")}
                  >
                    Move to folder…
                  </Menu.Item>
                  <Menu.Item leftSection={<IconTag size={16} aria-hidden />} onClick={() => setAsking("tag")}>
                    Tags…
                  </Menu.Item>
                </>
              )}
              {isArchived ? (
                <Menu.Item
                  leftSection={<IconArchiveOff size={16} aria-hidden />}
                  onClick={() => void attempt("restored", restore)}
                >
                  Restore
                </Menu.Item>
              ) : (
                <Menu.Item
                  leftSection={<IconArchive size={16} aria-hidden />}
                  onClick={() => setAsking("archive")}
                >
                  Archive
                </Menu.Item>
              )}
              <Menu.Divider />
              <Menu.Item
                c="var(--failed)"
                leftSection={<IconTrash size={16} aria-hidden />}
                onClick={() => setAsking("delete")}
              >
                Delete
              </Menu.Item>
            </>
          )}
        </Menu.Dropdown>
      </Menu>
      <Questions
        flow={flow}
        asking={asking}
        onClose={() => setAsking(null)}
        onChanged={onChanged}
        onDeleted={onDeleted}
      />
    </>
  );
}

interface QuestionsProps extends Pick<FlowMenuProps, "flow" | "onChanged" | "onDeleted"> {
  asking: Asking;
  onClose: () => void;
}

function Questions({ flow, asking, onClose, onChanged, onDeleted }: QuestionsProps) {
  const actions = useFlowActions();
  const { folder = null, tags = [] } = flow;
  return (
    <>
      {(asking === "move" || asking === "tag") && (
        <Suspense>
          <LabelDialogs asking={asking} flows={[{ ...flow, folder, tags }]} onClose={onClose} />
        </Suspense>
      )}
      <NameDialog
        opened={asking === "rename"}
        onClose={onClose}
        title="Rename flow"
        action="Rename"
        initial={flow.name}
        onName={async (name) => {
          await actions.rename(flow.id, name);
          onChanged?.({ name });
        }}
      />
      <ConfirmDialog
        opened={asking === "archive"}
        onClose={onClose}
        title={`Archive “${flow.name}”?`}
        action="Archive"
        onConfirm={async () => {
          await actions.setStatus(flow.id, "archived");
          onChanged?.({ status: "archived" });
        }}
      >
        The flow no longer starts and is hidden from the list of flows. You can find it with the filter
        Archived and restore it.
      </ConfirmDialog>
      <ConfirmDialog
        opened={asking === "delete"}
        onClose={onClose}
        title={`Delete “${flow.name}”?`}
        action="Delete"
        danger
        onConfirm={async () => {
          await actions.remove(flow.id);
          onDeleted?.();
        }}
      >
        The flow and all its versions are deleted. Its runs are kept. This cannot be undone.
      </ConfirmDialog>
    </>
  );
}
