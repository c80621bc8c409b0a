import { Anchor, SimpleGrid, Skeleton, Text } from "@mantine/core";
import { Suspense } from "react";
import { Link } from "wouter";
import { api, type Schemas } from "@/api/client";
import { CALM, liveWhile } from "@/api/queries";
import { isMoving } from "@/runs/values";
import { aboutRun } from "@/runs/words";
import { milliseconds } from "@/ui/format";
import { lazily } from "@/ui/lazily";
import { NodeIcon } from "@/ui/NodeIcon";
import { Card, Page } from "@/ui/Page";
import { Quiet } from "@/ui/Quiet";
import { outcomeOf, StatusBadge } from "@/ui/StatusBadge";
import { LoadingRows, Refused } from "@/ui/states";
import { Elapsed, Time } from "@/ui/Time";
import { Attention, Item } from "./Attention";
import classes from "./dashboard.module.css";
import { Figures } from "./Figures";
import { dueInWords } from "./figures";

const MOST = 8;

/** The next scheduled starts. */
function NextDue({ schedules }: { schedules: Schemas["ScheduleOut"][] | undefined }) {
  const next = schedules?.filter((one) => one.next_at !== null).slice(0, MOST);
  return (
    <Card title="Upcoming" pad={false}>
      {next === undefined ? (
        <LoadingRows rows={3} />
      ) : next.length === 0 ? (
        <Quiet p="md">No active flow has a schedule.</Quiet>
      ) : (
        <ul className={classes.rows}>
          {next.map((one) => (
            <Item
              key={`${one.workflow_id} ${one.node_id}`}
              icon={<NodeIcon type={one} size={24} />}
              href={`/flows/${one.workflow_id}`}
              title={one.workflow_name}
              about={dueInWords(one)}
              hint={one.describes}
            >
              <Text inherit span c={one.overdue ? "var(--waiting)" : undefined}>
                <Time at={one.next_at} />
              </Text>
            </Item>
          ))}
        </ul>
      )}
    </Card>
  );
}

/** The latest runs of the workspace, updated live. */
function LatestRuns() {
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
    return <Quiet p="md">No runs yet. Open a flow and run it, or activate it.</Quiet>;
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

const FirstSteps = lazily(() => import("./FirstSteps").then((part) => ({ default: part.FirstSteps })));
const ANY_FLOW = { params: { query: { limit: 1, brief: true } } } as const;

export default function Dashboard() {
  const { data, error, refetch } = api.useQuery("get", "/api/flows", ANY_FLOW, {
    // Stop polling once there is a flow.
    refetchInterval: (query) => (query.state.data?.items.length ? false : CALM),
  });
  return (
    <Page title="Dashboard">
      {data ? (
        data.items.length > 0 ? (
          <Overview />
        ) : (
          <>
            {/* The webhooks of deleted flows can fail, too. */}
            <Attention schedules={[]} />
            <Suspense fallback={<LoadingRows />}>
              <FirstSteps />
            </Suspense>
          </>
        )
      ) : error ? (
        <Refused error={error} onRetry={() => void refetch()} />
      ) : (
        <Skeleton height={300} radius="md" />
      )}
    </Page>
  );
}

function Overview() {
  const { data } = api.useQuery(
    "get",
    "/api/schedules",
    { params: { query: { limit: 50 } } },
    { refetchInterval: 3 * CALM },
  );
  return (
    <>
      <Attention schedules={data?.items} />
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="sm">
        <LatestRuns />
        <NextDue schedules={data?.items} />
      </SimpleGrid>
      <Figures />
    </>
  );
}
