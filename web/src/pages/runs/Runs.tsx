import { Button, Stack, Text } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { IconPlayerPlay } from "@tabler/icons-react";
import { useMemo } from "react";
import { Link } from "wouter";
import { LoadMore } from "@/ui/LoadMore";
import { Card, Page } from "@/ui/Page";
import { Empty, LoadingRows, Refused } from "@/ui/states";
import { useQueryState } from "@/ui/useQueryState";
import { useSelection } from "@/ui/useSelection";
import { BulkBar } from "./BulkBar";
import { DEFAULTS } from "./filters";
import { RunFilters } from "./RunFilters";
import { RunCards, RunTable } from "./RunTable";
import { inWords, type SearchedRuns } from "./searched";
import { useRuns } from "./useRuns";

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
      {selection.size > 0 && (
        <BulkBar runs={runs.filter((run) => selection.has(run.id))} onDone={selection.clear} />
      )}
      {query.error !== null && runs.length === 0 ? (
        <Refused error={query.error} onRetry={() => void query.refetch()} />
      ) : (
        <Card pad={false}>
          {query.isPending && <LoadingRows />}
          {!query.isPending && runs.length === 0 && (
            <NoRuns filtered={state.isSet} onClear={state.clear} more={query.hasNextPage} />
          )}
          {runs.length > 0 &&
            (isPhone ? <RunCards runs={runs} /> : <RunTable runs={runs} selection={selection} />)}
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

interface SearchedProps {
  query: ReturnType<typeof useRuns>;
  searched: SearchedRuns;
}

/** How far a search in run data looked, and the button that looks further. */
function Searched({ query, searched }: SearchedProps) {
  if (query.isFetchNextPageError) {
    return <Refused error={query.error} onRetry={() => void query.fetchNextPage()} />;
  }
  return (
    <Stack align="center" gap="xs" p="sm">
      <Text size="sm" c="var(--quiet)" role="status">
        {query.isFetchingNextPage ? "Searching…" : inWords(searched, query.hasNextPage)}
      </Text>
      {query.hasNextPage && (
        <Button
          variant="default"
          loading={query.isFetchingNextPage}
          onClick={() => void query.fetchNextPage()}
        >
          Search older runs
        </Button>
      )}
    </Stack>
  );
}
