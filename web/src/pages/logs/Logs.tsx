import { Button, Pill, VisuallyHidden } from "@mantine/core";
import { IconListDetails, IconPlayerPause, IconPlayerPlay } from "@tabler/icons-react";
import { useCallback, useState } from "react";
import { shortId } from "@/runs/words";
import { FilterBar, FilterSelect } from "@/ui/FilterBar";
import { FlowSelect } from "@/ui/FlowSelect";
import { LoadMore } from "@/ui/LoadMore";
import { Page } from "@/ui/Page";
import { SearchInput } from "@/ui/SearchInput";
import { Empty, LoadingRows, Refused } from "@/ui/states";
import { type QueryState, useQueryState } from "@/ui/useQueryState";
import { LogList } from "./LogList";
import { FILTERS, type Filters, useLogs } from "./logs";

const LEVELS = [
  { value: "", label: "Any level" },
  { value: "info,warning,error", label: "Info and above" },
  { value: "warning,error", label: "Warnings and errors" },
  { value: "error", label: "Errors" },
  { value: "debug", label: "Debug" },
];

export default function Logs() {
  const filters = useQueryState<keyof Filters>(FILTERS);
  const [isLive, setLive] = useState(true);
  return (
    <Page
      title="Logs"
      width={1500}
      actions={
        <Button
          variant="default"
          aria-pressed={isLive}
          leftSection={
            isLive ? <IconPlayerPause size={16} aria-hidden /> : <IconPlayerPlay size={16} aria-hidden />
          }
          onClick={() => setLive(!isLive)}
        >
          {isLive ? "Pause" : "Follow"}
        </Button>
      }
    >
      <Filtering filters={filters} />
      {/* Other filters are another list, which begins at its top. */}
      <Entries
        key={JSON.stringify(filters.values)}
        filters={filters}
        isLive={isLive}
        onFollow={() => setLive(true)}
      />
    </Page>
  );
}

function Filtering({ filters }: { filters: QueryState<keyof Filters> }) {
  const { values, change, isSet, clear } = filters;
  return (
    <FilterBar isSet={isSet} onClear={clear}>
      <SearchInput
        label="Search messages"
        value={values.search}
        onChange={(search) => change({ search }, { replace: true })}
      />
      <FilterSelect
        label="Level"
        value={values.level}
        onChange={(level) => change({ level })}
        options={LEVELS}
        width={190}
      />
      <FlowSelect value={values.workflow_id} onChange={(workflow_id) => change({ workflow_id })} />
      {values.run_id !== "" && (
        <Pill
          withRemoveButton
          size="lg"
          onRemove={() => change({ run_id: "" })}
          removeButtonProps={{ "aria-label": "Show all runs", "aria-hidden": false, tabIndex: 0 }}
        >
          Run {shortId(values.run_id)}
        </Pill>
      )}
    </FilterBar>
  );
}

interface EntriesProps {
  filters: QueryState<keyof Filters>;
  isLive: boolean;
  onFollow: () => void;
}

function Entries({ filters, isLive, onFollow }: EntriesProps) {
  const [atTop, setAtTop] = useState(true);
  const { entries, held, older, error } = useLogs(filters.values, isLive && atTop);
  const { hasNextPage, isFetchingNextPage, isFetchNextPageError, fetchNextPage } = older;
  const onEnd = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage && !isFetchNextPageError) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, isFetchNextPageError, fetchNextPage]);

  if (older.data === undefined) {
    return error ? <Refused error={error} onRetry={() => void older.refetch()} /> : <LoadingRows rows={10} />;
  }
  if (entries.length === 0) {
    return (
      <>
        <Empty
          icon={<IconListDetails size={40} color="var(--quiet)" aria-hidden />}
          title={filters.isSet ? "No matching entries" : "No log entries yet"}
          hint={
            filters.isSet
              ? "Try other words or filters. New matching entries appear here."
              : "Messages of Log nodes and failures of runs appear here immediately."
          }
        />
        <LoadMore query={older} noun="older entries" />
      </>
    );
  }
  return (
    <>
      <VisuallyHidden role="status">{isLive ? "Following new entries" : "Paused"}</VisuallyHidden>
      <LogList
        entries={entries}
        held={held}
        onAtTop={setAtTop}
        onShow={() => {
          setAtTop(true);
          onFollow();
        }}
        onEnd={onEnd}
      />
    </>
  );
}
