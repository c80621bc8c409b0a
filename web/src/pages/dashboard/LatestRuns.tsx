import { Anchor, Text } from "@mantine/core";
import { Link } from "wouter";
import { api, type Schemas } from "@/api/client";
import { liveWhile } from "@/api/queries";
import { isMoving } from "@/runs/moving";
import { aboutRun } from "@/runs/words";
import { Elapsed } from "@/ui/Elapsed";
import { milliseconds } from "@/ui/format";
import { Card } from "@/ui/Page";
import { outcomeOf, StatusBadge } from "@/ui/StatusBadge";
import { LoadingRows, Refused } from "@/ui/states";
import { Time } from "@/ui/Time";
import classes from "./dashboard.module.css";
import { Item } from "./Item";

/** The latest runs of the workspace, updated live. */
export function LatestRuns() {
  const { data, error, refetch } = api.useQuery(
    "get",
    "/api/dashboard/runs/latest",
    { params: { query: { brief: true } } },
    { refetchInterval: (query) => liveWhile(query.state.data?.items.some(isMoving) ?? false) },
  );
  return (
    <Card
      title="Latest runs"
      pad={false}
      actions={
        <Anchor component={Link} href="/runs" size="sm">
          All runs
        </Anchor>
      }
    >
      {data ? (
        <Rows runs={data.items} />
      ) : error ? (
        <Refused error={error} onRetry={() => void refetch()} />
      ) : (
        <LoadingRows rows={8} />
      )}
    </Card>
  );
}

function Rows({ runs }: { runs: Schemas["RunItemOut"][] }) {
  if (runs.length === 0) {
    return (
      <Text size="sm" c="var(--quiet)" p="md">
        No runs yet. Open a flow and run it, or activate it.
      </Text>
    );
  }
  return (
    <ul className={classes.rows}>
      {runs.map((run) => (
        <Item
          key={run.id}
          icon={<StatusBadge outcome={outcomeOf(run)} iconOnly />}
          href={`/runs/${run.id}`}
          title={run.workflow_name}
          about={aboutRun(run)}
          bad={Boolean(run.error_text) && !run.cancelled}
        >
          <Time at={run.started_at ?? run.created_at} />
          <br />
          <Elapsed startedAt={run.started_at} ms={milliseconds(run.duration_us)} running={isMoving(run)} />
        </Item>
      ))}
    </ul>
  );
}
