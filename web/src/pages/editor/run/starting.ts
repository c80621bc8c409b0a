/** The request that starts a run from the editor; pure. */
import { ApiError } from "@/api/client";
import { descendants } from "@/definition/graph";
import type { Definition, Json } from "@/definition/types";
import type { NodeState } from "@/runs/states";
import { waysOf } from "../branches";
import type { EditorState, Pin, Pinned } from "../store";

export interface StartOptions {
  input?: Json;
  /** The node after which the run stops. */
  until?: string;
  /** The only node that is executed, and the run whose recorded outputs it is given. */
  only?: string;
  fromRun?: string;
  /** Outputs to use in this run only, in addition to the pinned ones. */
  pinned?: Pinned;
  /** True to leave the panel as it is instead of showing the node's output. */
  stay?: boolean;
}

export interface StartBody {
  input: Json;
  definition: Definition | null;
  until: string | null;
  only: string | null;
  from_run: string | null;
  pinned: Record<string, { output: Json; branch: string | null }> | null;
}

type Known = Pick<EditorState, "definition" | "published" | "pinned" | "check" | "catalogue">;

/** Return a pin in the API's format: with a branch if the node has branches. */
function asGiven(known: Known, nodeId: string, pin: Pin): { output: Json; branch: string | null } | undefined {
  const node = known.definition.nodes.find((one) => one.id === nodeId);
  if (node === undefined) return undefined;
  const ways = waysOf(node, known.check?.ways.get(nodeId), known.catalogue);
  const fits = ways.includes(pin.branch ?? undefined);
  return { output: pin.output, branch: fits ? (pin.branch ?? null) : (ways[0] ?? null) };
}

/**
 * Return the request body. It contains the unpublished definition for an editor; other roles run the current version, without
 * pins.
 */
export function bodyOf(known: Known, options: StartOptions, mayEdit: boolean): StartBody {
  const { input = null, until = null, only = null, fromRun = null, pinned = {} } = options;
  if (!mayEdit) return { input, definition: null, until, only, from_run: fromRun, pinned: null };
  const pins: NonNullable<StartBody["pinned"]> = {};
  for (const [id, pin] of Object.entries({ ...known.pinned, ...pinned })) {
    const given = id === until || id === only ? undefined : asGiven(known, id, pin);
    if (given !== undefined) pins[id] = given;
  }
  // An incomplete flow can run too, but only if the definition is sent: then only the part that runs must be valid.
  const isIncomplete = known.check?.problems.some((problem) => problem.level === "error") ?? false;
  const isSaved = known.definition === known.published && !isIncomplete;
  return {
    input,
    definition: isSaved ? null : known.definition,
    until,
    only,
    from_run: fromRun,
    pinned: Object.keys(pins).length === 0 ? null : pins,
  };
}

/** Return true if the server refused to run a node alone because it has no input, or is disabled. */
export function isLackOfData(refusal: unknown): refusal is ApiError {
  return refusal instanceof ApiError && refusal.details.some((detail) => detail.path === "only");
}

/** Return true if nodes before this one have no output yet, so that they must run first. */
export function lacksOutputs(refusal: unknown, nodeId: string): boolean {
  return isLackOfData(refusal) && refusal.details.some(({ node_id: id }) => id && id !== nodeId);
}

/** Return the pinned outputs to run from a node: the last run's outputs of all nodes that will not run again. */
export function toKeep(definition: Definition, states: ReadonlyMap<string, NodeState>, from: string): NodeState[] {
  const anew = descendants(definition, from).add(from);
  const there = new Set(definition.nodes.map((node) => node.id));
  return [...states.values()].filter(
    (state) => there.has(state.nodeId) && !anew.has(state.nodeId) && state.outcome === "success",
  );
}
