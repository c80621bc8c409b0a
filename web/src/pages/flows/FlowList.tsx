import { Button, Checkbox, VisuallyHidden } from "@mantine/core";
import { IconFolder, IconRoute } from "@tabler/icons-react";
import { useMemo } from "react";
import { Link } from "wouter";
import { useCatalogue } from "@/api/catalogue";
import { useSession } from "@/app/session";
import { count } from "@/ui/format";
import { itemsOf, LoadMore } from "@/ui/LoadMore";
import { Empty, LoadingRows, Refused } from "@/ui/states";
import type { QueryState } from "@/ui/useQueryState";
import { useSelection } from "@/ui/useSelection";
import { BulkBar } from "./BulkBar";
import { FlowRow } from "./FlowRow";
import { FolderRow } from "./Folders";
import { addressOf, type Filters, isBrowsing, parentOf, subfoldersOf, tagsOf, toggleTag } from "./filters";
import { useFlows, useFolders } from "./flows";
import classes from "./flows.module.css";

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
    return query.error ? (
      <Refused error={query.error} onRetry={() => void query.refetch()} />
    ) : (
      <LoadingRows />
    );
  }
  if (items.length === 0 && subfolders.length === 0) {
    return <Nothing isFiltered={filters.isSet} folder={folder} onClear={filters.clear} />;
  }
  return (
    <>
      <VisuallyHidden role="status">
        {items.length === 1 ? "1 flow" : `${count(items.length)} flows`} shown
      </VisuallyHidden>
      {selection.size > 0 && (
        <BulkBar flows={items.filter((flow) => selection.has(flow.id))} selection={selection} />
      )}
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
