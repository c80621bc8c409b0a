/** A small chart with stacked bars or lines. The chart library is loaded with it. */
import "uplot/dist/uPlot.min.css";
import { useComputedColorScheme } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { useEffect, useRef, useState } from "react";
import uPlot from "uplot";
import classes from "./dashboard.module.css";

export interface Series {
  label: string;
  /** A CSS variable of the page's colors, such as `--failed`. */
  color: string;
  values: readonly (number | null)[];
}

export interface ChartProps {
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

function cssColor(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Bars are drawn from the back: the sum of all series first, the first series alone last. */
function layers({ kind, series }: ChartProps): Series[] {
  if (kind === "line") return [...series];
  return series
    .map((one, at) => ({
      ...one,
      values: one.values.map((_, place) =>
        series.slice(0, at + 1).reduce((sum, below) => sum + (below.values[place] ?? 0), 0),
      ),
    }))
    .reverse();
}

function optionsOf(props: ChartProps, width: number, onPlace: (place: number | null) => void): uPlot.Options {
  const { kind, ticks, format, top } = props;
  const quiet = cssColor("--quiet");
  const axis: uPlot.Axis = {
    stroke: quiet,
    font: "12px 'Inter Variable', system-ui, sans-serif",
    ticks: { show: false },
  };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: kind === "line" } },
    scales: {
      x: { time: false, range: () => [-0.6, ticks.length - 0.4] },
      y: { range: (_plot, _low, high) => [0, Math.max(top, (high ?? 0) * 1.08)] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 28,
        space: 58,
        incrs: [1, 2, 3, 4, 6, 7, 12],
        values: (_plot, places) => places.map((place) => ticks[place] ?? ""),
      },
      {
        ...axis,
        grid: { stroke: cssColor("--line"), width: 1 },
        size: 46,
        space: 40,
        values: (_plot, values) =>
          values.map((value) => (Number.isInteger(value) || top < 1 ? format(value) : "")),
      },
    ],
    series: [
      {},
      ...layers(props).map(({ label, color }): uPlot.Series => {
        const stroke = cssColor(color);
        if (kind === "line")
          return { label, stroke, width: 2, points: { show: true, size: 5, fill: stroke } };
        return {
          label,
          fill: stroke,
          width: 0,
          points: { show: false },
          ...(uPlot.paths.bars && { paths: uPlot.paths.bars({ size: [0.7, 36], radius: 0.15 }) }),
        };
      }),
    ],
    hooks: { setCursor: [(plot) => onPlace(plot.cursor.idx ?? null)] },
  };
}

export default function Chart(props: ChartProps) {
  const { series, labels, format, label } = props;
  const { ref, width } = useElementSize();
  const scheme = useComputedColorScheme();
  const [place, setPlace] = useState<number | null>(null);
  const target = useRef<HTMLDivElement>(null);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the colors are read from the page and depend on the color scheme
  useEffect(() => {
    if (target.current === null || width === 0) return;
    const data = [labels.map((_, at) => at), ...layers(props).map((one) => [...one.values])];
    const plot = new uPlot(optionsOf(props, width, setPlace), data as uPlot.AlignedData, target.current);
    return () => plot.destroy();
  }, [props.series, labels, width, scheme]);

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
      <div
        ref={target}
        role="img"
        aria-label={`${label}. The data is also in the table below.`}
        style={{ minHeight: HEIGHT }} // Reserve the height: the chart is drawn after its width is known.
      />
    </div>
  );
}
