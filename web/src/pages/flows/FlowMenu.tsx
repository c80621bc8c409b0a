import { Anchor, Menu } from "@mantine/core";
import {
  IconArchive,
  IconArchiveOff,
  IconCopy,
  IconCursorText,
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
import { DotsMenu, MenuItem } from "@/ui/MenuItem";
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
      <DotsMenu button={{ label, c: "var(--quiet)", size }} shadow="md" width={200}>
        <MenuItem component={Link} href={`/runs?flow=${flow.id}`} icon={IconPlayerPlay}>
          Runs
        </MenuItem>
        <MenuItem component={Link} href={`/flows/${flow.id}/versions`} icon={IconHistory}>
          Versions
        </MenuItem>
        {may("owner") && (
          <MenuItem component={Link} href={`/audit?target=${flow.id}`} icon={IconUserSearch}>
            Audit log
          </MenuItem>
        )}
        <MenuItem
          icon={IconDownload}
          onClick={() => void attempt("exported", async () => actions.save(flow.id, await asShown()))}
        >
          Export
        </MenuItem>
        {may("editor") && (
          <>
            <Menu.Divider />
            <MenuItem icon={IconCopy} onClick={() => void attempt("duplicated", duplicate)}>
              Duplicate
            </MenuItem>
            <MenuItem icon={IconCursorText} onClick={() => setAsking("rename")}>
              Rename
            </MenuItem>
            {flow.tags !== undefined && (
              <>
                <MenuItem icon={IconFolder} onClick={() => setAsking("move")}>
                  Move to folder…
                </MenuItem>
                <MenuItem icon={IconTag} onClick={() => setAsking("tag")}>
                  Tags…
                </MenuItem>
              </>
            )}
            {isArchived ? (
              <MenuItem icon={IconArchiveOff} onClick={() => void attempt("restored", restore)}>
                Restore
              </MenuItem>
            ) : (
              <MenuItem icon={IconArchive} onClick={() => setAsking("archive")}>
                Archive
              </MenuItem>
            )}
            <Menu.Divider />
            <MenuItem c="var(--failed)" icon={IconTrash} onClick={() => setAsking("delete")}>
              Delete
            </MenuItem>
          </>
        )}
      </DotsMenu>
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
        The flow no longer starts and is hidden from the list of flows. You can find it with the filter Archived and
        restore it.
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
