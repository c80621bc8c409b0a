import {
  Box,
  SegmentedControl,
  SimpleGrid,
  Skeleton,
  Stack,
  Text,
  Title,
  VisuallyHidden,
} from "@mantine/core";
import { useMemo } from "react";
import { api, type Schemas } from "@/api/client";
import { count, duration, percent } from "@/ui/format";
import { Card } from "@/ui/Page";
import { Refused } from "@/ui/states";
import { useQueryState } from "@/ui/useQueryState";
import { BusyFlows } from "./BusyFlows";
import { Chart } from "./Chart";
import classes from "./dashboard.module.css";
import { figuresOf, type Figures as Numbers, RANGES, type Range } from "./figures";

const DEFAULTS = { days: "7" };
const PAUSE = 10_000;

/** Statistics: number of runs, failures, durations. */
export function Figures() {
  const { values, change } = useQueryState(DEFAULTS);
  const range = RANGES.find((one) => one.value === values.days)?.value ?? "7";
  const { data, error, refetch } = api.useQuery(
    "get",
    "/api/metrics",
    { params: { query: { days: Number(range) } } },
    { refetchInterval: PAUSE, placeholderData: (previous) => previous },
  );
  return (
    <Stack gap="sm">
      <Box style={{ display: "flex", justifyContent: "space-between", flexWrap: "wrap", gap: 8 }}>
        <Title order={2}>Statistics</Title>
        <SegmentedControl
          size="xs"
          aria-label="Period"
          data={RANGES}
          value={range}
          onChange={(days) => change({ days }, { replace: true })}
        />
      </Box>
      {data ? (
        <Shown metrics={data} range={range} />
      ) : error ? (
        <Refused error={error} onRetry={() => void refetch()} />
      ) : (
        <Skeleton height={320} radius="md" />
      )}
    </Stack>
  );
}

function Shown({ metrics, range }: { metrics: Schemas["MetricsOut"]; range: Range }) {
  const numbers = useMemo(() => figuresOf(metrics, range), [metrics, range]);
  const waiting = metrics.pending_runs + metrics.running_runs;
  return (
    <>
      <div className={classes.tiles}>
        <Tile label="Runs" value={count(numbers.total)} />
        <Tile
          label="Failed"
          value={numbers.total === 0 ? "–" : percent(numbers.totalFailed / numbers.total)}
          detail={
            numbers.totalFailed > 0 ? `${count(numbers.totalFailed)} of ${count(numbers.total)}` : undefined
          }
          bad={numbers.totalFailed > 0}
        />
        <Tile
          label="Duration (p95)"
          value={duration(metrics.p95_duration_ms)}
          detail={
            metrics.p50_duration_ms === null ? undefined : `median ${duration(metrics.p50_duration_ms)}`
          }
        />
        <Tile
          label="In progress"
          value={count(waiting)}
          detail={
            waiting > 0
              ? `${count(metrics.running_runs)} running, ${count(metrics.pending_runs)} queued or waiting`
              : undefined
          }
        />
      </div>
      <Charts numbers={numbers} />
      <BusyFlows flows={metrics.flows} />
    </>
  );
}

interface TileProps {
  label: string;
  value: string;
  detail?: string | undefined;
  bad?: boolean;
}

function Tile({ label, value, detail, bad = false }: TileProps) {
  return (
    <Box bg="var(--card)" bd="1px solid var(--line)" bdrs="md" px="md" py="sm">
      <Text size="xs" c="var(--quiet)">
        {label}
      </Text>
      <Text fz={26} fw={650} lh={1.25} c={bad ? "var(--failed)" : undefined}>
        {value}
      </Text>
      <Text size="xs" c="var(--quiet)" mih={18}>
        {detail}
      </Text>
    </Box>
  );
}

function Charts({ numbers }: { numbers: Numbers }) {
  const { labels, ticks, success, failed, rates } = numbers;
  const runs = useMemo(
    () => [
      { label: "Succeeded", color: "--success", values: success },
      { label: "Failed", color: "--failed", values: failed },
    ],
    [success, failed],
  );
  const shares = useMemo(() => [{ label: "Failure rate", color: "--failed", values: rates }], [rates]);
  const places = { labels, ticks };
  return (
    <>
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="sm">
        <Card title="Runs">
          <Chart kind="bars" series={runs} {...places} format={count} top={4} label="Finished runs" />
        </Card>
        <Card title="Failure rate">
          <Chart kind="line" series={shares} {...places} format={percent} top={0.1} label="Failure rate" />
        </Card>
      </SimpleGrid>
      <VisuallyHidden>
        <table>
          <caption>Finished runs and failures</caption>
          <thead>
            <tr>
              <th scope="col">Period</th>
              <th scope="col">Succeeded</th>
              <th scope="col">Failed</th>
              <th scope="col">Failure rate</th>
            </tr>
          </thead>
          <tbody>
            {labels.map((label, at) => (
              <tr key={label}>
                <th scope="row">{label}</th>
                <td>{success[at]}</td>
                <td>{failed[at]}</td>
                <td>{rates[at] == null ? "–" : percent(rates[at])}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </VisuallyHidden>
    </>
  );
}
