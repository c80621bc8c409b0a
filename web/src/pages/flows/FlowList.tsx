import { Button, Checkbox, Group, Text, VisuallyHidden } from "@mantine/core";
import { IconFolder, IconRoute } from "@tabler/icons-react";
import { Suspense, useMemo, useState } from "react";
import { Link } from "wouter";
import { useCatalogue } from "@/api/catalogue";
import { useSession } from "@/app/session";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { count } from "@/ui/format";
import { itemsOf, LoadMore } from "@/ui/LoadMore";
import { lazily } from "@/ui/lazily";
import { type QueryState, type Selection, useSelection } from "@/ui/listState";
import { notify } from "@/ui/notify";
import { Empty, LoadingRows, Refused } from "@/ui/states";
import { FlowRow } from "./FlowRow";
import { FolderRow } from "./Folders";
import { addressOf, type Filters, isBrowsing, parentOf, subfoldersOf, tagsOf, toggleTag } from "./filters";
import { type Flow, useFlowActions, useFlows, useFolders } from "./flows";
import classes from "./flows.module.css";
import type { LabelDialog } from "./LabelDialogs";

const LabelDialogs = lazily(() => import("./LabelDialogs"));

type Act = "activate" | "deactivate" | "archive" | "restore" | "delete";

interface Wording {
  label: string;
  done: string;
  takes: (flow: Flow) => boolean;
  about: string;
}

const ACTS: Record<Act, Wording> = {
  activate: {
    label: "Activate",
    done: "activated",
    takes: (flow) => flow.status === "draft",
    about: "Their triggers then start runs. Unpublished changes are published in the same step.",
  },
  deactivate: {
    label: "Deactivate",
    done: "deactivated",
    takes: (flow) => flow.status === "active",
    about: "Their triggers no longer start runs. Runs in progress continue.",
  },
  archive: {
    label: "Archive",
    done: "archived",
    takes: (flow) => flow.status !== "archived",
    about: "The flows no longer start and are hidden from the list. You can find them with the filter Archived.",
  },
  restore: {
    label: "Restore",
    done: "restored as inactive",
    takes: (flow) => flow.status === "archived",
    about: "The flows are listed again, and are inactive.",
  },
  delete: {
    label: "Delete",
    done: "deleted",
    takes: () => true,
    about: "The flows and all their versions are deleted. Their runs are kept. This cannot be undone.",
  },
};

/** Return the number of flows with its noun. */
function flowsOf(number: number): string {
  return number === 1 ? "1 flow" : `${count(number)} flows`;
}

/** Actions on all selected flows. */
function BulkBar({ flows, selection }: { flows: Flow[]; selection: Selection }) {
  const actions = useFlowActions();
  const [asking, setAsking] = useState<Act | LabelDialog | null>(null);
  const act = asking !== null && asking !== "move" && asking !== "tag" ? asking : null;
  const close = () => setAsking(null);

  function one(wanted: Act, flow: Flow): Promise<unknown> {
    if (wanted === "delete") return actions.remove(flow.id);
    if (wanted === "archive") return actions.setStatus(flow.id, "archived");
    if (wanted !== "activate") return actions.setStatus(flow.id, "draft");
    return flow.has_draft ? actions.publishActive(flow.id) : actions.setStatus(flow.id, "active");
  }
  async function all(wanted: Act) {
    let done = 0;
    const failed: [Flow, unknown][] = [];
    await actions.together(async () => {
      // One request at a time, to keep the load on the server low.
      for (const flow of flows.filter(ACTS[wanted].takes)) {
        try {
          await one(wanted, flow);
          done += 1;
        } catch (error) {
          failed.push([flow, error]);
        }
      }
    });
    if (done > 0) notify.done(`${flowsOf(done)} ${ACTS[wanted].done}`);
    const [first] = failed;
    if (first === undefined) selection.clear();
    else notify.refused(titleOf(failed.length, first[0], ACTS[wanted].done), first[1]);
  }

  return (
    <Group gap="xs" role="toolbar" aria-label="Selected flows" className={classes.bulk}>
      <Text size="sm" fw={600}>
        {count(flows.length)} selected
      </Text>
      {!selection.all && (
        <Button size="xs" variant="subtle" onClick={selection.toggleAll}>
          Select all listed
        </Button>
      )}
      <Button size="xs" variant="default" onClick={() => setAsking("move")}>
        Move…
      </Button>
      <Button size="xs" variant="default" onClick={() => setAsking("tag")}>
        Tags…
      </Button>
      {(Object.keys(ACTS) as Act[])
        .filter((name) => name !== "restore" || flows.some(ACTS.restore.takes))
        .map((name) => (
          <Button
            key={name}
            size="xs"
            variant="default"
            disabled={!flows.some(ACTS[name].takes)}
            onClick={() => setAsking(name)}
          >
            {ACTS[name].label}
          </Button>
        ))}
      <Button size="xs" variant="subtle" c="var(--quiet)" color="gray" onClick={selection.clear}>
        Clear selection
      </Button>
      {act !== null && (
        <ConfirmDialog
          opened
          onClose={close}
          title={`${ACTS[act].label} ${flowsOf(flows.filter(ACTS[act].takes).length)}?`}
          action={ACTS[act].label}
          danger={act === "delete"}
          onConfirm={() => all(act)}
        >
          {ACTS[act].about}
        </ConfirmDialog>
      )}
      {(asking === "move" || asking === "tag") && (
        <Suspense>
          <LabelDialogs asking={asking} flows={flows} onClose={close} onDone={selection.clear} />
        </Suspense>
      )}
    </Group>
  );
}

function titleOf(number: number, flow: Flow, done: string): string {
  if (number === 1) return `“${flow.name}” could not be ${done}`;
  return `${flowsOf(number)} could not be ${done}, among them “${flow.name}”`;
}

interface FlowListProps {
  filters: QueryState<keyof Filters>;
  /** The open folder; "" is the top. */
  folder: string;
}

/** The folders and flows that match the filters. */
export function FlowList({ filters, folder }: FlowListProps) {
  const query = useFlows(filters.values, folder);
  const { catalogue } = useCatalogue();
  const { may } = useSession();
  const { folders, isPending } = useFolders();
  const loaded = query.data;
  const items = useMemo(() => itemsOf(loaded), [loaded]);
  const ids = useMemo(() => items.map((flow) => flow.id), [items]);
  const selection = useSelection(ids);
  const subfolders = isBrowsing(filters.values) ? subfoldersOf(folders, folder) : [];
  const tags = tagsOf(filters.values.tag);
  if (query.data === undefined || isPending) {
    return query.error ? <Refused error={query.error} onRetry={() => void query.refetch()} /> : <LoadingRows />;
  }
  if (items.length === 0 && subfolders.length === 0) {
    return <Nothing isFiltered={filters.isSet} folder={folder} onClear={filters.clear} />;
  }
  return (
    <>
      <VisuallyHidden role="status">
        {items.length === 1 ? "1 flow" : `${count(items.length)} flows`} shown
      </VisuallyHidden>
      {selection.size > 0 && <BulkBar flows={items.filter((flow) => selection.has(flow.id))} selection={selection} />}
      <div className={may("editor") ? classes.selectable : undefined}>
        <div className={classes.head}>
          {may("editor") && (
            <Checkbox
              aria-label="Select all listed flows"
              checked={selection.all}
              indeterminate={selection.size > 0 && !selection.all}
              disabled={items.length === 0}
              onChange={selection.toggleAll}
            />
          )}
          <span aria-hidden />
          <span aria-hidden>Flow</span>
          <span aria-hidden>Last run</span>
          <span aria-hidden>Next run</span>
          <span aria-hidden>Active</span>
        </div>
        <ul className={classes.list}>
          {subfolders.map((one) => (
            <FolderRow key={one.path} folder={one} />
          ))}
          {items.map((flow) => (
            <FlowRow
              key={flow.id}
              flow={flow}
              catalogue={catalogue}
              selection={may("editor") ? selection : undefined}
              folder={folder}
              tags={tags}
              onTag={(tag) => filters.change({ tag: toggleTag(filters.values.tag, tag) })}
            />
          ))}
        </ul>
      </div>
      <LoadMore query={query} noun="flows" />
    </>
  );
}

interface NothingProps {
  isFiltered: boolean;
  folder: string;
  onClear: () => void;
}

function Nothing({ isFiltered, folder, onClear }: NothingProps) {
  const { may } = useSession();
  const icon = <IconRoute size={40} color="var(--quiet)" aria-hidden />;
  if (isFiltered) {
    return (
      <Empty
        icon={icon}
        title="No matching flows"
        hint="Try other words or filters."
        action={
          <Button variant="default" onClick={onClear}>
            Clear filters
          </Button>
        }
      />
    );
  }
  if (folder !== "") {
    return (
      <Empty
        icon={<IconFolder size={40} color="var(--quiet)" aria-hidden />}
        title="No flows in this folder"
        hint={
          may("editor")
            ? "Create a flow here, or select flows and move them here. A folder without flows is not listed."
            : "A folder without flows is not listed."
        }
        action={
          <Button component={Link} href={addressOf(parentOf(folder))} variant="default">
            {parentOf(folder) === "" ? "All flows" : `Go to “${parentOf(folder)}”`}
          </Button>
        }
      />
    );
  }
  return (
    <Empty
      icon={icon}
      title="No flows yet"
      hint={
        may("editor")
          ? "Start from a template, or drop a file here to import a flow."
          : "This workspace has no flows yet."
      }
      action={
        <Button component={Link} href="/templates">
          Browse templates
        </Button>
      }
    />
  );
}
