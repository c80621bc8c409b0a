import { Button, Group, Stack, Text } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { IconPlayerPlay } from "@tabler/icons-react";
import { useMemo, useState } from "react";
import { Link } from "wouter";
import { useSession } from "@/app/session";
import { useRunActions } from "@/runs/useRunActions";
import { hasEnded } from "@/runs/values";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { Between, FilterBar, FilterSelect, FlowSelect } from "@/ui/FilterBar";
import { count } from "@/ui/format";
import { LoadMore } from "@/ui/LoadMore";
import { type QueryState, useQueryState, useSelection } from "@/ui/listState";
import { notify } from "@/ui/notify";
import { Card, Page } from "@/ui/Page";
import { Quiet } from "@/ui/Quiet";
import { SavedFilters } from "@/ui/SavedFilters";
import { SearchInput } from "@/ui/SearchInput";
import { Empty, LoadingRows, Refused } from "@/ui/states";
import {
  DEFAULTS,
  ERROR_OPTIONS,
  type Filters,
  inWords,
  OUTCOME_OPTIONS,
  RANGE_OPTIONS,
  rangeOf,
  type SearchedRuns,
  TRIGGER_OPTIONS,
} from "./filters";
import { RunCards, RunTable } from "./RunTable";
import { type ListedRun, useRuns } from "./useRuns";

type Act = "cancel" | "retry" | "delete";

const ACTS: Record<Act, { label: string; done: string; role: "operator" | "editor"; about: string }> = {
  cancel: {
    label: "Cancel",
    done: "cancelled",
    role: "operator",
    about: "Changes already made are not undone.",
  },
  retry: {
    label: "Run again",
    done: "restarted",
    role: "operator",
    about: "Each run is repeated with the latest version of its flow. Failed runs continue from the failed node.",
  },
  delete: {
    label: "Delete",
    done: "deleted",
    role: "editor",
    about: "Their steps and logs are deleted too. This cannot be undone.",
  },
};

function takes(act: Act, run: ListedRun): boolean {
  return act === "cancel" ? !hasEnded(run) : hasEnded(run);
}

/** Actions on all selected runs. */
function BulkBar({ runs, onDone }: { runs: ListedRun[]; onDone: () => void }) {
  const { may } = useSession();
  const actions = useRunActions();
  const [asking, setAsking] = useState<Act | null>(null);

  /** Resolve to false if there was nothing left to do. */
  function one(act: Act, run: ListedRun): Promise<unknown> {
    if (act === "cancel") return actions.cancel(run);
    if (act === "delete") return actions.remove(run);
    return actions.retry(run, { from: run.status === "failed" ? "failed" : "start", version: "latest" });
  }
  async function all(act: Act) {
    let done = 0;
    let refused: unknown = null;
    // One request at a time, to keep the load on the server low.
    for (const run of runs.filter((each) => takes(act, each))) {
      try {
        if ((await one(act, run)) !== false) done += 1;
      } catch (error) {
        refused ??= error;
      }
    }
    if (done > 0) notify.done(`${count(done)} ${done === 1 ? "run" : "runs"} ${ACTS[act].done}`);
    if (refused !== null) notify.refused("Some runs could not be changed", refused);
    onDone();
  }

  return (
    <Group gap="xs" role="toolbar" aria-label="Selected runs">
      <Text size="sm" fw={600}>
        {count(runs.length)} selected
      </Text>
      {(Object.keys(ACTS) as Act[]).map((act) => (
        <Button
          key={act}
          size="xs"
          variant="default"
          disabled={!may(ACTS[act].role) || !runs.some((run) => takes(act, run))}
          onClick={() => setAsking(act)}
        >
          {ACTS[act].label}
        </Button>
      ))}
      <Button size="xs" variant="subtle" c="var(--quiet)" color="gray" onClick={onDone}>
        Clear selection
      </Button>
      {asking !== null && (
        <ConfirmDialog
          opened
          onClose={() => setAsking(null)}
          title={`${ACTS[asking].label} ${count(runs.filter((run) => takes(asking, run)).length)} runs?`}
          action={ACTS[asking].label}
          danger={asking !== "retry"}
          onConfirm={() => all(asking)}
        >
          {ACTS[asking].about}
        </ConfirmDialog>
      )}
    </Group>
  );
}

type State = QueryState<keyof Filters>;

function RunFilters({ state }: { state: State }) {
  const { values, change, isSet, clear } = state;
  const range = rangeOf(values);
  return (
    <FilterBar isSet={isSet} onClear={clear}>
      <SearchInput
        label="Search flow, error or run id"
        value={values.search}
        onChange={(search) => change({ search }, { replace: true })}
      />
      <SearchInput
        label="Search in run data"
        value={values.data}
        onChange={(data) => change({ data }, { replace: true })}
        hasKey={false}
        pause={600}
      />
      <FilterSelect
        label="Status"
        value={values.outcome}
        options={OUTCOME_OPTIONS}
        onChange={(outcome) => change({ outcome })}
        width={180}
      />
      <FlowSelect value={values.flow} onChange={(flow) => change({ flow })} />
      <FilterSelect
        label="Trigger"
        value={values.triggered_by}
        options={TRIGGER_OPTIONS}
        onChange={(triggered_by) => change({ triggered_by })}
        width={140}
      />
      <FilterSelect
        label="Error"
        value={values.error_kind}
        options={ERROR_OPTIONS}
        onChange={(error_kind) => change({ error_kind })}
        width={160}
      />
      <FilterSelect
        label="Time"
        value={range}
        options={RANGE_OPTIONS}
        onChange={(next) => change({ range: next, since: "", until: "" })}
        width={160}
      />
      {range === "custom" && <Between since={values.since} until={values.until} onChange={change} />}
      <SavedFilters page="runs" state={state} defaults={DEFAULTS} />
    </FilterBar>
  );
}

export default function Runs() {
  const state = useQueryState(DEFAULTS);
  const query = useRuns(state.values);
  const { runs } = query;
  const ids = useMemo(() => runs.map((run) => run.id), [runs]);
  const selection = useSelection(ids);
  const isPhone = useMediaQuery("(max-width: 48em)", undefined, { getInitialValueInEffect: false });

  return (
    <Page title="Runs" about="All runs of flows and agents, newest first." docs="runs">
      <RunFilters state={state} />
      {selection.size > 0 && <BulkBar runs={runs.filter((run) => selection.has(run.id))} onDone={selection.clear} />}
      {query.error !== null && runs.length === 0 ? (
        <Refused error={query.error} onRetry={() => void query.refetch()} />
      ) : (
        <Card pad={false}>
          {query.isPending && <LoadingRows />}
          {!query.isPending && runs.length === 0 && (
            <NoRuns filtered={state.isSet} onClear={state.clear} more={query.hasNextPage} />
          )}
          {runs.length > 0 && (isPhone ? <RunCards runs={runs} /> : <RunTable runs={runs} selection={selection} />)}
        </Card>
      )}
      {query.searched !== null && <Searched query={query} searched={query.searched} />}
      {query.searched === null && <LoadMore query={query} noun="runs" />}
    </Page>
  );
}

function NoRuns({ filtered, onClear, more }: { filtered: boolean; onClear: () => void; more: boolean }) {
  if (filtered) {
    return (
      <Empty
        title={more ? "No match among the latest runs" : "No matching runs"}
        hint={more ? "Older runs have not been searched yet." : undefined}
        action={
          <Button variant="default" onClick={onClear}>
            Clear filters
          </Button>
        }
      />
    );
  }
  return (
    <Empty
      title="No runs yet"
      icon={<IconPlayerPlay size={32} aria-hidden color="var(--quiet)" />}
      hint={<Text inherit>Open a flow and press Run, or activate a flow that has a trigger.</Text>}
      action={
        <Button component={Link} href="/flows">
          Go to flows
        </Button>
      }
    />
  );
}

/** How far a search in run data looked, and the button that looks further. */
function Searched({ query, searched }: { query: ReturnType<typeof useRuns>; searched: SearchedRuns }) {
  if (query.isFetchNextPageError) {
    return <Refused error={query.error} onRetry={() => void query.fetchNextPage()} />;
  }
  return (
    <Stack align="center" gap="xs" p="sm">
      <Quiet role="status">{query.isFetchingNextPage ? "Searching…" : inWords(searched, query.hasNextPage)}</Quiet>
      {query.hasNextPage && (
        <Button variant="default" loading={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
          Search older runs
        </Button>
      )}
    </Stack>
  );
}
