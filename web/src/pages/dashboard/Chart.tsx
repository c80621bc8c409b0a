/** A small chart with stacked bars or lines, drawn as SVG in the page's colors. */
import { useElementSize } from "@mantine/hooks";
import { type PointerEvent, useState } from "react";
import classes from "./dashboard.module.css";
import { labelledPlaces, unbroken, valueTicks } from "./scale";

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

export function Chart(props: ChartProps) {
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
