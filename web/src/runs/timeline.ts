/** The rows of a run's timeline: a row for each node, with its attempts and items below. Pure. */
import { milliseconds } from "@/ui/format";
import type { Outcome } from "@/ui/StatusBadge";
import { type NodeState, outcomeOfStep, type Step } from "./states";

export interface Row {
  /** Unique among the rows. */
  key: string;
  nodeId: string;
  /** The step to show when the row is selected. */
  step: number;
  level: 1 | 2;
  name: string;
  /** Text after the name, such as "3 items". */
  note: string;
  outcome: Outcome;
  /** Milliseconds since 1970; `end` is null while it is active. */
  start: number;
  end: number | null;
  durationMs: number | null;
  /** True if the row can be expanded. */
  foldable: boolean;
}

/** Return the rows, with the nodes in `open` expanded. */
export function rowsOf(
  states: Iterable<NodeState>,
  open: ReadonlySet<string>,
  runEnded: boolean,
  note: (state: NodeState) => string,
): Row[] {
  const rows: Row[] = [];
  for (const state of states) {
    const foldable = state.steps.length > 1;
    rows.push({
      key: state.nodeId,
      nodeId: state.nodeId,
      step: state.step,
      level: 1,
      name: state.name,
      note: note(state),
      outcome: state.outcome,
      start: Date.parse(state.startedAt),
      end: state.finishedAt === null ? null : Date.parse(state.finishedAt),
      durationMs: state.durationMs,
      foldable,
    });
    if (foldable && open.has(state.nodeId)) {
      for (const step of parts(state)) rows.push(partOf(step, runEnded));
    }
  }
  return rows;
}

/** Return the attempts, or the items by index; not the step of the whole loop. */
function parts(state: NodeState): Step[] {
  const items = state.steps.filter((step) => typeof step.index === "number");
  if (items.length === 0) return state.steps;
  return items.sort((a, b) => (a.index ?? 0) - (b.index ?? 0) || a.attempt - b.attempt);
}

function partOf(step: Step, runEnded: boolean): Row {
  const item = typeof step.index === "number" ? `Item ${step.index + 1}` : null;
  const attempt = `${item === null ? "Attempt" : "attempt"} ${step.attempt}`;
  return {
    key: step.id,
    nodeId: step.node_id,
    step: step.number,
    level: 2,
    name: item ?? attempt,
    note: item !== null && step.attempt > 1 ? attempt : "",
    outcome: outcomeOfStep(step, runEnded),
    start: Date.parse(step.started_at),
    end: step.finished_at === null ? null : Date.parse(step.finished_at),
    durationMs: milliseconds(step.duration_us),
    foldable: false,
  };
}

export interface Span {
  from: number;
  to: number;
}

/** Return the time span: first start to last end, or to `now` if something is active. Never empty. */
export function spanOf(rows: readonly Row[], now: number): Span {
  let from = Number.POSITIVE_INFINITY;
  let to = Number.NEGATIVE_INFINITY;
  for (const row of rows) {
    from = Math.min(from, row.start);
    to = Math.max(to, endOf(row, now));
  }
  if (from > to) return { from: now, to: now + 1 };
  return { from, to: Math.max(to, from + 1) };
}

function endOf(row: Row, now: number): number {
  if (row.end !== null) return Math.max(row.end, row.start + (row.durationMs ?? 0));
  return row.outcome === "running" || row.outcome === "waiting" ? Math.max(now, row.start) : row.start;
}

/** Return position and width of a row's bar, in percent of the span. */
export function barOf(row: Row, span: Span, now: number): { left: number; width: number } {
  const whole = span.to - span.from;
  const left = Math.min(Math.max((row.start - span.from) / whole, 0), 1);
  const right = Math.min(Math.max((endOf(row, now) - span.from) / whole, left), 1);
  return { left: left * 100, width: (right - left) * 100 };
}
