/** The states of a run's nodes, computed from its steps; pure, linear in the number of steps. */
import type { Catalogue } from "@/api/catalogue";
import type { Schemas } from "@/api/client";
import type { Definition, FlowEdge } from "@/definition/types";
import type { Mark } from "@/graph/NodeCard";
import { nameOf } from "@/graph/nameOf";
import { count, duration, milliseconds } from "@/ui/format";
import type { Outcome } from "@/ui/StatusBadge";
import { type Counts, keyOf } from "./words";

/** A step without input and output. */
export type Step = Omit<Schemas["StepOut"], "input" | "output" | "number"> & { number: number };

/** The branch of a step that sent its items to several branches. */
const SEVERAL = "";

export interface Items {
  done: number;
  failed: number;
  /** The number of items started: all of them once the node has ended. */
  begun: number;
}

export interface NodeState {
  nodeId: string;
  name: string;
  outcome: Outcome;
  /** The number of the node's main step: the last attempt of the whole node, else of its last item. */
  step: number;
  startedAt: string;
  finishedAt: string | null;
  durationMs: number | null;
  attempts: number;
  /** The number of rounds of a node that is repeated; else 0. */
  rounds: number;
  items: Items | null;
  branch: string | null;
  error: string | null;
  /** All steps, attempts and items, in order. */
  steps: Step[];
}

/** Return the outcome of a step: an active step of an ended run was cancelled. */
export function outcomeOfStep(step: Pick<Step, "status">, runEnded: boolean): Outcome {
  const moving = step.status === "running" || step.status === "waiting";
  return moving && runEnded ? "cancelled" : step.status;
}

/** Return the states of the nodes that have steps, in order of their start. */
export function nodeStates(
  steps: readonly Step[],
  runEnded: boolean,
  catalogue?: Pick<Catalogue, "find">,
): Map<string, NodeState> {
  const byNode = new Map<string, Step[]>();
  for (const step of steps) {
    const known = byNode.get(step.node_id);
    if (known === undefined) byNode.set(step.node_id, [step]);
    else known.push(step);
  }
  const states = new Map<string, NodeState>();
  for (const [id, own] of byNode) {
    const state = stateOf(own, runEnded);
    if (state !== undefined) states.set(id, { ...state, name: nameOfStep(own[0] as Step, catalogue) });
  }
  return states;
}

/**
 * Return a name for a step. The step of an unnamed node has its id as name; then use the type's name, as the node's
 * card does.
 */
export function nameOfStep(
  step: Pick<Step, "node_id" | "node_name" | "node_type">,
  catalogue: Pick<Catalogue, "find"> | undefined,
): string {
  const name = step.node_name === step.node_id ? undefined : step.node_name;
  return nameOf({ id: step.node_id, name }, catalogue?.find(step.node_type));
}

function stateOf(steps: Step[], runEnded: boolean): NodeState | undefined {
  const wholes = steps.filter((step) => isWhole(step));
  const ofItems = steps.filter((step) => !isWhole(step));
  const whole = wholes.at(-1);
  const main = whole ?? ofItems.at(-1);
  if (main === undefined) return undefined;
  // The step for the whole loop is recorded only when all items are done.
  const outcome = whole ? outcomeOfStep(whole, runEnded) : runEnded ? "cancelled" : "running";
  const startedAt = firstStart(steps);
  return {
    nodeId: main.node_id,
    name: main.node_name,
    outcome,
    step: main.number,
    startedAt,
    finishedAt: whole?.finished_at ?? null,
    durationMs: wholes.length > 1 ? between(startedAt, whole?.finished_at) : milliseconds(whole?.duration_us ?? null),
    attempts: ofItems.length > 0 ? 1 : main.attempt,
    rounds: wholes.some((step) => step.status === "repeated")
      ? new Set(wholes.filter((step) => step.status !== "failed" || step === whole)).size
      : 0,
    items: ofItems.length > 0 ? itemsOf(ofItems) : null,
    branch: whole?.branch ?? null,
    error: outcome === "failed" ? main.error_text : null,
    steps,
  };
}

/** Return the first start: items may be recorded before the step of the whole loop, which started earlier. */
function firstStart(steps: readonly Step[]): string {
  let first = steps[0]?.started_at ?? "";
  for (const step of steps) if (step.started_at < first) first = step.started_at;
  return first;
}

function isWhole(step: Pick<Step, "index">): boolean {
  return step.index === null || step.index === undefined;
}

function between(from: string, to: string | null | undefined): number | null {
  return to ? Date.parse(to) - Date.parse(from) : null;
}

/** Each item counts by its last attempt. */
function itemsOf(steps: readonly Step[]): Items {
  const last = new Map<number, Step>();
  for (const step of steps) last.set(step.index ?? 0, step);
  let done = 0;
  let failed = 0;
  for (const step of last.values()) {
    if (step.status === "failed") failed += 1;
    if (step.finished_at !== null) done += 1;
  }
  return { done, failed, begun: last.size };
}

/**
 * Return a function that tells if an edge was taken: its source left through that branch and its target was reached.
 * Disabled nodes pass their input on.
 */
export function liveEdges(definition: Definition, states: ReadonlyMap<string, NodeState>): (edge: FlowEdge) => boolean {
  const nodes = new Map(definition.nodes.map((node) => [node.id, node]));
  const into = new Map<string, FlowEdge[]>();
  for (const edge of definition.edges) {
    const known = into.get(edge.to);
    if (known === undefined) into.set(edge.to, [edge]);
    else known.push(edge);
  }
  const known = new Map<string, boolean>();

  function passes(id: string): boolean {
    const state = states.get(id);
    if (state === undefined) return false;
    if (state.outcome === "success") return true;
    if (state.outcome === "failed") return state.branch !== null || nodes.get(id)?.on_error === "continue";
    return state.outcome === "skipped" && nodes.get(id)?.disabled === true && isReached(id);
  }
  function isReached(id: string): boolean {
    const before = known.get(id);
    if (before !== undefined) return before;
    known.set(id, false);
    const reached = into.get(id)?.some(isLive) ?? true;
    known.set(id, reached);
    return reached;
  }
  function isLive(edge: FlowEdge): boolean {
    // A run up to a node stops there: the nodes after it were not reached.
    if (!states.has(edge.to)) return false;
    if (!passes(edge.from)) return false;
    const branch = states.get(edge.from)?.branch ?? null;
    // The node sent items to several branches; one without items was not taken, so what follows it was skipped.
    if (branch === SEVERAL) return states.get(edge.to)?.outcome !== "skipped";
    return branch === (edge.branch ?? null);
  }
  return isLive;
}

/** A branch of a node in a run. `items` is the number of items that took it; undefined if the output is no list. */
export interface TakenBranch {
  branch: string;
  items: number | undefined;
}

/**
 * Return the branches of a node's output in a run, those of a loop with the items that took each of them, also 0.
 * Empty if the node has no branches, did not succeed, or its counts are not known yet.
 */
export function branchesTaken(state: Pick<NodeState, "nodeId" | "branch">, counts: Counts): readonly TakenBranch[] {
  const { nodeId, branch } = state;
  if (branch === null) return [];
  if (branch !== SEVERAL) return [{ branch, items: counts.get(nodeId) }];
  const prefix = keyOf(nodeId, "");
  return [...counts].flatMap(([key, items]) =>
    key.startsWith(prefix) ? [{ branch: key.slice(prefix.length), items }] : [],
  );
}

/** Return the branches as text: "true", "true 3 / false 1". */
export function branchesText(branches: readonly TakenBranch[]): string {
  return branches.map(({ branch, items }) => (items === undefined ? branch : `${branch} ${count(items)}`)).join(" / ");
}

/** Return the branches of a step in words: "true: 3 items · false: 1 item", "branch true"; undefined without branches. */
export function branchesInWords(
  state: Pick<NodeState, "nodeId" | "branch">,
  step: Pick<Step, "index" | "branch">,
  counts: Counts,
): string | undefined {
  if (!isWhole(step)) return step.branch ? `branch ${step.branch}` : undefined;
  const words = branchesTaken(state, counts).map(({ branch, items }) =>
    items === undefined ? `branch ${branch}` : `${branch}: ${itemsText({ done: items, failed: 0, begun: items })}`,
  );
  return words.join(" · ") || undefined;
}

const NO_COUNTS: Counts = new Map();

/** Return the marks of the nodes for a graph. */
export function marksOf(
  states: ReadonlyMap<string, NodeState>,
  counts: Counts = NO_COUNTS,
  pinned: Iterable<string> = [],
): Map<string, Mark> {
  const marks = new Map<string, Mark>();
  for (const [id, state] of states) marks.set(id, markOf(state, counts));
  for (const id of pinned) marks.set(id, { ...marks.get(id), pinned: true });
  return marks;
}

/** Add the items of loops whose items have no steps of their own: the length of the list that they returned. */
export function withItems(
  marks: ReadonlyMap<string, Mark>,
  definition: Pick<Definition, "nodes">,
  counts: Counts,
): ReadonlyMap<string, Mark> {
  const made = new Map(marks);
  for (const node of definition.nodes) {
    const [mark, number] = [made.get(node.id), counts.get(node.id)];
    if (node.foreach === undefined || mark === undefined || mark.items !== undefined || number === undefined) continue;
    made.set(node.id, { ...mark, items: itemsText({ done: number, failed: 0, begun: number }) });
  }
  return made;
}

function markOf(state: NodeState, counts: Counts): Mark {
  const branches = branchesTaken(state, counts);
  const mark: Mark = { outcome: state.outcome, detail: branchesText(branches) || detailOf(state) };
  if (branches.length > 0) mark.branches = branches;
  return state.items === null ? mark : { ...mark, items: itemsText(state.items) };
}

/** Return a detail for the node's card: "120 ms", "120 ms, 2 attempts"; undefined if there is none. */
export function detailOf(state: NodeState): string | undefined {
  if (state.outcome === "skipped") return undefined;
  const parts: string[] = [];
  if (state.durationMs !== null) parts.push(duration(state.durationMs));
  if (state.rounds > 1) parts.push(`${state.rounds} rounds`);
  if (state.attempts > 1) parts.push(`${state.attempts} attempts`);
  return parts.length > 0 ? parts.join(", ") : undefined;
}

export function itemsText({ done, failed, begun }: Items): string {
  const all = done === begun ? `${count(begun)} ${begun === 1 ? "item" : "items"}` : `${count(done)} items`;
  return failed > 0 ? `${all}, ${count(failed)} failed` : all;
}

/** Return the node whose failure ended the run; if the run does not name it, the first failed node. */
export function failedNode(
  run: Pick<Schemas["RunOut"], "status" | "error_node_id">,
  states: ReadonlyMap<string, NodeState>,
): NodeState | undefined {
  if (run.status !== "failed") return undefined;
  const told = run.error_node_id ? states.get(run.error_node_id) : undefined;
  if (told) return told;
  for (const state of states.values()) if (state.outcome === "failed") return state;
  return undefined;
}

/** Return the most relevant node: failed, else waiting, else running, else the last one. */
export function nodeToShow(
  run: Pick<Schemas["RunOut"], "status" | "error_node_id">,
  states: ReadonlyMap<string, NodeState>,
): NodeState | undefined {
  const failed = failedNode(run, states);
  if (failed) return failed;
  const all = [...states.values()];
  return (
    all.find((state) => state.outcome === "waiting") ??
    all.find((state) => state.outcome === "running") ??
    all.findLast((state) => state.outcome !== "skipped")
  );
}

/** Return the step with this number and the state of its node. */
export function findStep(
  states: ReadonlyMap<string, NodeState>,
  number: number,
): { state: NodeState; step: Step } | undefined {
  for (const state of states.values()) {
    const step = state.steps.find((one) => one.number === number);
    if (step) return { state, step };
  }
  return undefined;
}
