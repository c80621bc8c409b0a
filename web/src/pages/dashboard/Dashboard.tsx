import { SimpleGrid, Skeleton } from "@mantine/core";
import { Suspense } from "react";
import { api } from "@/api/client";
import { CALM } from "@/api/queries";
import { lazily } from "@/ui/lazily";
import { Page } from "@/ui/Page";
import { LoadingRows, Refused } from "@/ui/states";
import { Attention } from "./Attention";
import { Figures } from "./Figures";
import { LatestRuns } from "./LatestRuns";
import { NextDue } from "./NextDue";

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
