/**
 * The timeline of a run: a row with a bar for each node, attempts and items folded below. Only visible rows are
 * rendered.
 */
import { IconChevronRight } from "@tabler/icons-react";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, memo, useCallback, useEffect, useId, useMemo, useRef, useState } from "react";
import { duration } from "@/ui/format";
import { StatusBadge } from "@/ui/StatusBadge";
import classes from "./runs.module.css";
import { itemsText, type NodeState } from "./states";
import { barOf, type Row, rowsOf, type Span, spanOf } from "./timeline";

const ROW_HEIGHT = 32;

interface TimelineProps {
  states: ReadonlyMap<string, NodeState>;
  runEnded: boolean;
  /** The current time in milliseconds, for active bars. */
  now: number;
  selected: { nodeId: string; step: number } | null;
  onSelect: (row: Row) => void;
}

function noteOf(state: NodeState): string {
  if (state.items !== null) return itemsText(state.items);
  return state.attempts > 1 ? `${state.attempts} attempts` : "";
}

/** The rows, and which one is selected: the part if its node is expanded, else the node. */
function useRows({ states, runEnded, selected }: TimelineProps) {
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const rows = useMemo(() => rowsOf(states.values(), open, runEnded, noteOf), [states, open, runEnded]);
  const node = selected === null ? undefined : states.get(selected.nodeId);
  const isPart = node !== undefined && node.step !== selected?.step;
  useEffect(() => {
    if (isPart && node) setOpen((before) => (before.has(node.nodeId) ? before : new Set(before).add(node.nodeId)));
  }, [isPart, node]);

  const at = useMemo(() => {
    if (selected === null) return -1;
    const exact = rows.findIndex((row) => row.step === selected.step && row.level === (isPart ? 2 : 1));
    return exact >= 0 ? exact : rows.findIndex((row) => row.nodeId === selected.nodeId);
  }, [rows, selected, isPart]);

  const fold = useCallback((nodeId: string, wanted?: boolean) => {
    setOpen((before) => {
      const next = new Set(before);
      if (wanted ?? !before.has(nodeId)) next.add(nodeId);
      else next.delete(nodeId);
      return next;
    });
  }, []);
  return { rows, at, open, fold };
}

export function Timeline(props: TimelineProps) {
  const { now, onSelect } = props;
  const { rows, at, open, fold } = useRows(props);
  const span = useMemo(() => spanOf(rows, now), [rows, now]);
  const scroller = useRef<HTMLDivElement>(null);
  const id = useId();
  const list = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_HEIGHT,
    getItemKey: (index) => rows[index]?.key ?? index,
    overscan: 8,
  });
  const seen = list.getVirtualItems();

  useEffect(() => {
    if (at >= 0) list.scrollToIndex(at, { align: "auto" });
  }, [at, list]);

  function press(event: KeyboardEvent) {
    const row = rows[at];
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 };
    const step = steps[event.key];
    if (step !== undefined) choose(Math.min(Math.max(at + step, 0), rows.length - 1));
    else if (event.key === "Home") choose(0);
    else if (event.key === "End") choose(rows.length - 1);
    else if (event.key === "ArrowRight" && row?.foldable) fold(row.nodeId, true);
    else if (event.key === "ArrowLeft" && row !== undefined) {
      fold(row.nodeId, false);
      choose(rows.findIndex((one) => one.nodeId === row.nodeId));
    } else return;
    event.preventDefault();
  }
  function choose(index: number) {
    const row = rows[index];
    if (row) onSelect(row);
  }

  return (
    <div className={classes.timeline}>
      <div className={classes.axis} aria-hidden>
        <span>{rows.length === 1 ? "1 step" : `${rows.length} steps`}</span>
        <span>
          <span>0</span>
          <span>{duration(span.to - span.from)}</span>
        </span>
        <span>Duration</span>
      </div>
      <div
        ref={scroller}
        className={classes.rows}
        data-flat={!rows.some((row) => row.foldable) || undefined}
        role="tree"
        aria-label="Steps of the run"
        tabIndex={0}
        aria-activedescendant={seen.some((item) => item.index === at) ? `${id}-${at}` : undefined}
        onKeyDown={press}
      >
        <div className={classes.canvas} style={{ height: list.getTotalSize() }} role="presentation">
          {seen.map((item) => {
            const row = rows[item.index];
            return (
              row && (
                <TimelineRow
                  key={item.key}
                  id={`${id}-${item.index}`}
                  row={row}
                  top={item.start}
                  place={item.index + 1}
                  of={rows.length}
                  span={span}
                  now={row.end === null ? now : 0}
                  chosen={item.index === at}
                  expanded={row.foldable ? open.has(row.nodeId) : undefined}
                  onSelect={onSelect}
                  onFold={fold}
                />
              )
            );
          })}
        </div>
      </div>
    </div>
  );
}

interface TimelineRowProps {
  id: string;
  row: Row;
  top: number;
  place: number;
  of: number;
  span: Span;
  now: number;
  chosen: boolean;
  expanded: boolean | undefined;
  onSelect: (row: Row) => void;
  onFold: (nodeId: string) => void;
}

const TimelineRow = memo(function TimelineRow(props: TimelineRowProps) {
  const { id, row, top, place, of, span, now, chosen, expanded, onSelect, onFold } = props;
  const { left, width } = barOf(row, span, now);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the tree around it handles the keys
    <div
      id={id}
      role="treeitem"
      tabIndex={-1}
      aria-level={row.level}
      aria-selected={chosen}
      aria-expanded={expanded}
      aria-setsize={of}
      aria-posinset={place}
      className={classes.row}
      style={{ transform: `translateY(${top}px)` }}
      onClick={() => onSelect(row)}
    >
      <span className={classes.label}>
        {row.level === 1 && (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the arrow keys do this in the tree
          // biome-ignore lint/a11y/noStaticElementInteractions: a mouse-only target
          <span
            className={classes.fold}
            onClick={(event) => {
              if (!row.foldable) return;
              event.stopPropagation();
              onFold(row.nodeId);
            }}
          >
            {row.foldable && <IconChevronRight size={16} aria-hidden />}
          </span>
        )}
        <StatusBadge outcome={row.outcome} iconOnly />
        <span className={classes.name} title={row.name}>
          {row.name}
        </span>
        {row.note !== "" && <span className={classes.note}>{row.note}</span>}
      </span>
      <span className={classes.track}>
        <span
          className={classes.bar}
          data-outcome={row.outcome}
          style={{ left: `min(${left}%, calc(100% - 3px))`, width: `${width}%` }}
        />
      </span>
      <span className={classes.took}>{row.outcome === "skipped" ? "" : duration(row.durationMs)}</span>
    </div>
  );
});
