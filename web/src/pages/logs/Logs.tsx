import { ActionIcon, Anchor, Pill, Tooltip, VisuallyHidden } from "@mantine/core";
import {
  IconArrowUp,
  IconChevronDown,
  IconChevronRight,
  IconListDetails,
  IconPlayerPause,
  IconPlayerPlay,
} from "@tabler/icons-react";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useCallback, useEffect, useRef, useState } from "react";
import { Link } from "wouter";
import { shortId } from "@/runs/words";
import { Button } from "@/ui/Button";
import { Clamped } from "@/ui/Clamped";
import { FilterBar, FilterSelect, FlowSelect } from "@/ui/FilterBar";
import { count, LOCALE, size } from "@/ui/format";
import { LoadMore } from "@/ui/LoadMore";
import { type QueryState, useQueryState } from "@/ui/listState";
import { Page } from "@/ui/Page";
import { Quiet } from "@/ui/Quiet";
import { SearchInput } from "@/ui/SearchInput";
import { Empty, LoadingRows, Refused } from "@/ui/states";
import { cutOf, type Entry, FILTERS, type Filters, useLogs } from "./logs";
import classes from "./logs.module.css";

const clock = new Intl.DateTimeFormat(LOCALE, {
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
});

/** One log entry: time, level, message, run and node; its data can be expanded. */
function LogEntry({ entry, isOpen, onToggle }: { entry: Entry; isOpen: boolean; onToggle: () => void }) {
  const hasData = entry.data !== null && entry.data !== undefined;
  return (
    <>
      <time className={classes.time} dateTime={entry.created_at}>
        {clock.format(new Date(entry.created_at))}
      </time>
      <span className={classes.level} data-level={entry.level}>
        {entry.level}
      </span>
      <div className={classes.message}>
        <Clamped text={entry.message} lines={6} size="inherit" />
        <Origin entry={entry} />
      </div>
      {hasData ? (
        <Tooltip label={isOpen ? "Hide data" : "Show data"}>
          <ActionIcon
            variant="subtle"
            color="gray"
            c="var(--quiet)"
            size="sm"
            aria-label="Data"
            aria-expanded={isOpen}
            onClick={onToggle}
          >
            {isOpen ? <IconChevronDown size={16} aria-hidden /> : <IconChevronRight size={16} aria-hidden />}
          </ActionIcon>
        </Tooltip>
      ) : (
        <span />
      )}
      {hasData && isOpen && <Data entry={entry} />}
    </>
  );
}

/** The run and the node that wrote the entry. */
function Origin({ entry }: { entry: Entry }) {
  if (entry.run_id === null) return null;
  const node = entry.node_id === null ? "" : `?node=${encodeURIComponent(entry.node_id)}`;
  return (
    <Quiet size="xs" component="div" lineClamp={2}>
      <Anchor component={Link} href={`/runs/${entry.run_id}${node}`} inherit underline="always">
        {entry.workflow_name ?? "Run"}
      </Anchor>
      {entry.node_id !== null && ` · ${entry.node_id}`}
    </Quiet>
  );
}

function Data({ entry }: { entry: Entry }) {
  const cut = cutOf(entry.data);
  const text = cut?.start ?? (typeof entry.data === "string" ? entry.data : JSON.stringify(entry.data, null, 2));
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: scrollable content must be reachable by keyboard
    <pre className={classes.data} tabIndex={0}>
      {text}
      {cut !== null && `…\n\n${size(cut.bytes)} in total. Open the run to see the rest.`}
    </pre>
  );
}

const USUAL_HEIGHT = 52;
/** Distance from the end, in pixels, at which older entries are fetched. */
const AHEAD = 20;
const AT_TOP = 24;

interface LogListProps {
  entries: Entry[];
  held: number;
  /** Called with whether the start of the list is in view. */
  onAtTop: (atTop: boolean) => void;
  /** Show the held entries. */
  onShow: () => void;
  onEnd: () => void;
}

/** The list of entries. Only visible entries are in the page, however many there are. */
function LogList({ entries, held, onAtTop, onShow, onEnd }: LogListProps) {
  const place = useRef<HTMLDivElement>(null);
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const rows = useVirtualizer({
    count: entries.length,
    getScrollElement: () => place.current,
    estimateSize: () => USUAL_HEIGHT,
    getItemKey: (at) => entries[at]?.id ?? at,
    overscan: 12,
  });
  const shown = rows.getVirtualItems();
  const last = shown.at(-1)?.index ?? 0;
  useEffect(() => {
    if (last >= entries.length - AHEAD) onEnd();
  }, [last, entries.length, onEnd]);

  function toggle(id: string) {
    const next = new Set(open);
    if (!next.delete(id)) next.add(id);
    setOpen(next);
  }

  return (
    <div style={{ position: "relative" }}>
      {held > 0 && (
        <Button
          className={classes.new}
          size="xs"
          radius="xl"
          icon={IconArrowUp}
          onClick={() => {
            onShow();
            place.current?.scrollTo({ top: 0 });
          }}
        >
          {held === 1 ? "1 new entry" : `${count(held)} new entries`}
        </Button>
      )}
      <section
        ref={place}
        className={classes.list}
        aria-label="Log entries, newest first"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: scrollable content must be reachable by keyboard
        tabIndex={0}
        onScroll={(event) => onAtTop(event.currentTarget.scrollTop < AT_TOP)}
      >
        <ul style={{ height: rows.getTotalSize(), margin: 0, padding: 0, listStyle: "none" }}>
          {shown.map((row) => {
            const entry = entries[row.index];
            if (entry === undefined) return null;
            return (
              <li
                key={row.key}
                ref={rows.measureElement}
                data-index={row.index}
                className={classes.entry}
                aria-posinset={row.index + 1}
                aria-setsize={-1}
                style={{ transform: `translateY(${row.start}px)` }}
              >
                <LogEntry entry={entry} isOpen={open.has(entry.id)} onToggle={() => toggle(entry.id)} />
              </li>
            );
          })}
        </ul>
      </section>
    </div>
  );
}

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
          leftSection={isLive ? <IconPlayerPause size={16} aria-hidden /> : <IconPlayerPlay size={16} aria-hidden />}
          onClick={() => setLive(!isLive)}
        >
          {isLive ? "Pause" : "Follow"}
        </Button>
      }
    >
      <Filtering filters={filters} />
      {/* Other filters are another list, which begins at its top. */}
      <Entries key={JSON.stringify(filters.values)} filters={filters} isLive={isLive} onFollow={() => setLive(true)} />
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
