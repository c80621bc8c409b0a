import { Anchor, Box, SegmentedControl, SimpleGrid, Skeleton, Stack, Text, Title, VisuallyHidden } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { type PointerEvent, useMemo, useState } from "react";
import { Link } from "wouter";
import { api, type Schemas } from "@/api/client";
import { count, duration, percent } from "@/ui/format";
import { useQueryState } from "@/ui/listState";
import { Card } from "@/ui/Page";
import { Quiet } from "@/ui/Quiet";
import { Refused } from "@/ui/states";
import { Table, Td, Tr } from "@/ui/Table";
import classes from "./dashboard.module.css";
import {
  figuresOf,
  labelledPlaces,
  type Figures as Numbers,
  RANGES,
  type Range,
  unbroken,
  valueTicks,
} from "./figures";

const MOST = 5;

/** The flows with the most runs, with failure rate and duration. */
function BusyFlows({ flows }: { flows: Schemas["FlowCountOut"][] }) {
  if (flows.length === 0) return null;
  const busiest = [...flows].sort((one, other) => other.total - one.total).slice(0, MOST);
  return (
    <Card title="Busiest flows" pad={false}>
      <Table label="Busiest flows" head={["Flow", "Runs", "Failed", "Duration (p95)"]} minWidth={420}>
        {busiest.map((flow) => (
          <Tr key={flow.workflow_id}>
            <Td>
              {flow.workflow_name === null ? (
                <Quiet>Deleted flow</Quiet>
              ) : (
                <Anchor
                  component={Link}
                  href={`/runs?flow=${flow.workflow_id}`}
                  size="sm"
                  lineClamp={2}
                  title={flow.workflow_name}
                >
                  {flow.workflow_name}
                </Anchor>
              )}
            </Td>
            <Td>{count(flow.total)}</Td>
            <Td c={flow.failed > 0 ? "var(--failed)" : undefined}>{percent(flow.failure_rate)}</Td>
            <Td>{duration(flow.p95_duration_ms)}</Td>
          </Tr>
        ))}
      </Table>
    </Card>
  );
}

// A small chart with stacked bars or lines, drawn as SVG in the page's colors.

interface Series {
  label: string;
  /** A CSS variable of the page's colors, such as `--failed`. */
  color: string;
  values: readonly (number | null)[];
}

interface ChartProps {
  kind: "bars" | "line";
  series: readonly Series[];
  /** The labels of the x axis: long ones for the legend, short ones for the axis. */
  labels: readonly string[];
  ticks: readonly string[];
  format: (value: number) => string;
  /** The minimum of the upper end of the y axis. */
  top: number;
  /** Description for screen readers. */
  label: string;
}

const HEIGHT = 190;
/** Pixels around the drawing: the labels of the axes. */
const LEFT = 46;
const BOTTOM = 28;
const ABOVE = 8;
/** Pixels that a label of the x axis and of the y axis needs. */
const LABEL_WIDTH = 58;
const LABEL_HEIGHT = 40;
const MAX_BAR = 36;

/** The place of each value in pixels. */
interface Scale {
  x: (place: number) => number;
  y: (value: number) => number;
  /** Width of the space of one place. */
  each: number;
  max: number;
}

function scaleOf({ kind, series, ticks, top }: ChartProps, width: number): Scale {
  const highest = ticks.map((_, place) => {
    const values = series.map((one) => one.values[place] ?? 0);
    return kind === "bars" ? values.reduce((sum, value) => sum + value, 0) : Math.max(...values);
  });
  const max = Math.max(top, Math.max(0, ...highest) * 1.08);
  const each = Math.max(0, width - LEFT) / Math.max(1, ticks.length);
  const height = HEIGHT - BOTTOM - ABOVE;
  return {
    x: (place) => LEFT + each * (place + 0.5),
    y: (value) => ABOVE + height * (1 - value / max),
    each,
    max,
  };
}

function Chart(props: ChartProps) {
  const { kind, series, labels, format, label } = props;
  const { ref, width } = useElementSize();
  const [place, setPlace] = useState<number | null>(null);
  const scale = scaleOf(props, width);

  function follow(event: PointerEvent<SVGSVGElement>) {
    const { left } = event.currentTarget.getBoundingClientRect();
    const at = Math.floor((event.clientX - left - LEFT) / scale.each);
    setPlace(at >= 0 && at < labels.length ? at : null);
  }

  return (
    <div ref={ref}>
      <div className={classes.legend} aria-hidden>
        {series.map((one) => {
          const value = place === null ? null : one.values[place];
          return (
            <span key={one.label} className={classes.key}>
              <span className={classes.dot} style={{ background: `var(${one.color})` }} />
              {one.label}
              {place !== null && <b>{value === null || value === undefined ? "–" : format(value)}</b>}
            </span>
          );
        })}
        <span className={classes.place}>{place === null ? "" : labels[place]}</span>
      </div>
      <svg
        role="img"
        aria-label={`${label}. The data is also in the table below.`}
        width="100%"
        height={HEIGHT}
        className={classes.chart}
        onPointerMove={follow}
        onPointerLeave={() => setPlace(null)}
      >
        {width > 0 && (
          <>
            <Axes {...props} scale={scale} width={width} />
            {place !== null && (
              <line
                x1={scale.x(place)}
                x2={scale.x(place)}
                y1={ABOVE}
                y2={HEIGHT - BOTTOM}
                className={classes.cursor}
              />
            )}
            {kind === "bars" ? (
              <Bars series={series} scale={scale} />
            ) : (
              series.map((one) => <Line key={one.label} series={one} scale={scale} />)
            )}
          </>
        )}
      </svg>
    </div>
  );
}

function Axes({ ticks, format, top, scale, width }: ChartProps & { scale: Scale; width: number }) {
  const values = valueTicks(scale.max, Math.floor((HEIGHT - BOTTOM) / LABEL_HEIGHT));
  return (
    <>
      {values.map((value) => (
        <g key={value}>
          <line x1={LEFT} x2={width} y1={scale.y(value)} y2={scale.y(value)} className={classes.grid} />
          {(Number.isInteger(value) || top < 1) && (
            <text x={LEFT - 8} y={scale.y(value)} dy="0.35em" textAnchor="end">
              {format(value)}
            </text>
          )}
        </g>
      ))}
      {labelledPlaces(ticks.length, width - LEFT, LABEL_WIDTH).map((place) => (
        <text key={place} x={scale.x(place)} y={HEIGHT - 8} textAnchor="middle">
          {ticks[place]}
        </text>
      ))}
    </>
  );
}

function Bars({ series, scale }: { series: readonly Series[]; scale: Scale }) {
  const width = Math.min(scale.each * 0.7, MAX_BAR);
  const places = series[0]?.values.map((_, place) => place) ?? [];
  return places.map((place) => {
    let below = 0;
    return series.map(({ label, color, values }) => {
      const from = below;
      const value = values[place] ?? 0;
      below += value;
      if (value === 0) return null;
      return (
        <rect
          key={label}
          x={scale.x(place) - width / 2}
          width={width}
          y={scale.y(below)}
          height={scale.y(from) - scale.y(below)}
          rx={Math.min(2, width / 4)}
          style={{ fill: `var(${color})` }}
        />
      );
    });
  });
}

function Line({ series: { color, values }, scale }: { series: Series; scale: Scale }) {
  return (
    <g style={{ fill: `var(${color})`, stroke: `var(${color})` }}>
      {unbroken(values).map((group) => (
        <polyline
          key={group[0]?.[0]}
          points={group.map(([place, value]) => `${scale.x(place)},${scale.y(value)}`).join(" ")}
          fill="none"
          strokeWidth={2}
        />
      ))}
      {unbroken(values)
        .flat()
        .map(([place, value]) => (
          <circle key={place} cx={scale.x(place)} cy={scale.y(value)} r={2} />
        ))}
    </g>
  );
}

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
          detail={numbers.totalFailed > 0 ? `${count(numbers.totalFailed)} of ${count(numbers.total)}` : undefined}
          bad={numbers.totalFailed > 0}
        />
        <Tile
          label="Duration (p95)"
          value={duration(metrics.p95_duration_ms)}
          detail={metrics.p50_duration_ms === null ? undefined : `median ${duration(metrics.p50_duration_ms)}`}
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
      <Quiet size="xs">{label}</Quiet>
      <Text fz={26} fw={650} lh={1.25} c={bad ? "var(--failed)" : undefined}>
        {value}
      </Text>
      <Quiet size="xs" mih={18}>
        {detail}
      </Quiet>
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
