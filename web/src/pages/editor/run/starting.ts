/** What a run of the editor is started with; pure. */
import { descendants } from "@/definition/graph";
import type { Definition, Json } from "@/definition/types";
import type { NodeState } from "@/runs/states";
import { waysOf } from "../branches";
import type { EditorState, Pin, Pinned } from "../store";

export interface StartOptions {
  input?: Json;
  /** The node after which the run stops. */
  until?: string;
  /** Taken for the outputs of nodes in this run alone, beside those that are pinned. */
  pinned?: Pinned;
}

export interface StartBody {
  input: Json;
  definition: Definition | null;
  until: string | null;
  pinned: Record<string, { output: Json; branch: string | null }> | null;
}

type Known = Pick<EditorState, "definition" | "saved" | "pinned" | "check" | "catalogue">;

/** A pin as the server takes it: a node with branches leaves by one of them, another by none. */
function asGiven(
  known: Known,
  nodeId: string,
  pin: Pin,
): { output: Json; branch: string | null } | undefined {
  const node = known.definition.nodes.find((one) => one.id === nodeId);
  if (node === undefined) return undefined;
  const ways = waysOf(node, known.check?.ways.get(nodeId), known.catalogue);
  const fits = ways.includes(pin.branch ?? undefined);
  return { output: pin.output, branch: fits ? (pin.branch ?? null) : (ways[0] ?? null) };
}

/** The body of the request; what was not saved goes along. An editor's alone: others run what is saved, without pins. */
export function bodyOf(known: Known, options: StartOptions, mayEdit: boolean): StartBody {
  const { input = null, until = null, pinned = {} } = options;
  if (!mayEdit) return { input, definition: null, until, pinned: null };
  const pins: NonNullable<StartBody["pinned"]> = {};
  for (const [id, pin] of Object.entries({ ...known.pinned, ...pinned })) {
    const given = id === until ? undefined : asGiven(known, id, pin);
    if (given !== undefined) pins[id] = given;
  }
  // Up to a node also an incomplete flow runs, but only one that is given: the server runs what is saved as a whole.
  const isIncomplete = known.check?.problems.some((problem) => problem.level === "error") ?? false;
  const isSaved = known.definition === known.saved && (until === null || !isIncomplete);
  return {
    input,
    definition: isSaved ? null : known.definition,
    until,
    pinned: Object.keys(pins).length === 0 ? null : pins,
  };
}

/** The nodes whose outputs are taken from the last run to run on from a node: all that neither it nor what follows makes. */
export function toKeep(
  definition: Definition,
  states: ReadonlyMap<string, NodeState>,
  from: string,
): NodeState[] {
  const anew = descendants(definition, from).add(from);
  const there = new Set(definition.nodes.map((node) => node.id));
  return [...states.values()].filter(
    (state) => there.has(state.nodeId) && !anew.has(state.nodeId) && state.outcome === "success",
  );
}
