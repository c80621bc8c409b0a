/**
 * The state of the editor of one flow: definition, selection, undo history, validation, save state. One store per open
 * flow. It does not access the server or the browser's storage.
 */

import { createStore, type StoreApi } from "zustand/vanilla";
import type { Catalogue } from "@/api/catalogue";
import type { Schemas } from "@/api/client";
import { keysOf } from "@/definition/annotations";
import { isSame } from "@/definition/diff";
import { freshId } from "@/definition/graph";
import { type Clash, merge, twins } from "@/definition/merge";
import type { Definition, FlowEdge, FlowNode, FlowSettings, Json, Position } from "@/definition/types";
import type { Mark } from "@/graph/NodeCard";
import { nameOf } from "@/graph/nameOf";
import {
  type AnnotationActions,
  annotationActions,
  type ChangeOptions,
  isFoldedIn,
  shownKeys,
  shownThrough,
} from "./annotating";
import * as changes from "./changes";
import { type IsLiteral, nodeOf } from "./changes";
import type { Check } from "./problems";

// The undo and redo history: whole definitions that share unchanged parts.

interface Moment {
  definition: Definition;
  selected: readonly string[];
}

/** A change and the definition before it. */
interface Change {
  label: string;
  before: Moment;
}

interface History {
  past: readonly Change[];
  future: readonly { label: string; after: Moment }[];
  /**
   * Key and time (ms) of the latest change: a following change with the same key soon after is merged into it, as in
   * typing.
   */
  latest: { key: string; at: number } | null;
}

const NO_HISTORY: History = { past: [], future: [], latest: null };
export const MAX_STEPS = 200;
const TOGETHER = 1_500;

function recorded(history: History, label: string, before: Moment, now: number, key?: string): History {
  const latest = key === undefined ? null : { key, at: now };
  const goesOn =
    key !== undefined &&
    history.latest?.key === key &&
    now - history.latest.at < TOGETHER &&
    history.future.length === 0 &&
    history.past.length > 0;
  if (goesOn) return { ...history, latest };
  return { past: [...history.past, { label, before }].slice(-MAX_STEPS), future: [], latest };
}

function undone(history: History, now: Moment): { history: History; moment: Moment } | undefined {
  const last = history.past.at(-1);
  if (last === undefined) return undefined;
  const future = [{ label: last.label, after: now }, ...history.future];
  return { history: { past: history.past.slice(0, -1), future, latest: null }, moment: last.before };
}

function redone(history: History, now: Moment): { history: History; moment: Moment } | undefined {
  const [next, ...future] = history.future;
  if (next === undefined) return undefined;
  const past = [...history.past, { label: next.label, before: now }];
  return { history: { past, future, latest: null }, moment: next.after };
}

// A node's id follows its name until the id is used elsewhere; pure.

const MAX_NAME = 40;

/** Return the name as an id, such as `get_orders`; undefined if nothing is left of it. */
export function idOf(name: string): string | undefined {
  const plain = name
    .normalize("NFD")
    .replace(/[\u0300-\u036f]/g, "")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "_")
    .slice(0, MAX_NAME)
    .replace(/^_+|_+$/g, "");
  if (plain === "") return undefined;
  return /^\d/.test(plain) ? `_${plain}` : plain;
}

function bare(id: string): string {
  return id.replace(/_\d+$/, "");
}

/** Return true if the id was made from the node's type or from its name, not by hand. */
function isAutomatic({ id, type }: FlowNode, name: string | undefined): boolean {
  const made = [freshId(type, []), name === undefined ? undefined : idOf(name)];
  return made.some((one) => one !== undefined && (id === one || bare(id) === one));
}

/** Return true if another node may read the output of this one by its id; text of code counts too. */
function isRead(definition: Definition, id: string): boolean {
  const mention = new RegExp(`\\b${id}\\b`);
  return definition.nodes.some((node) => {
    if (node.id === id) return false;
    const text = JSON.stringify([node.config ?? null, node.foreach ?? null, node.repeat ?? null]);
    return text.includes("steps") && mention.test(text);
  });
}

/**
 * Return the id that a node gets with its new name; undefined if it keeps its own: because it was chosen by hand, or
 * another node reads it, or it is in the published version, whose runs and metrics have it.
 */
export function followingId(
  definition: Definition,
  published: Definition,
  id: string,
  nameBefore: string | undefined,
): string | undefined {
  const node = nodeOf(definition, id);
  const wanted = idOf(node?.name ?? "");
  if (node === undefined || wanted === undefined || !isAutomatic(node, nameBefore)) return undefined;
  if (nodeOf(published, id) !== undefined || isRead(definition, id)) return undefined;
  const others = definition.nodes.map((one) => one.id).filter((one) => one !== id);
  const made = freshId(wanted, others);
  return made === id ? undefined : made;
}

export type FlowStatus = "draft" | "active" | "archived";

/** The draft of a flow as the server has it. */
export interface ServerDraft {
  /** Counts the changes of the draft, including each time it was discarded or published. */
  revision: number;
  /** The version on which it is based; null if there is no draft. */
  base: number | null;
  definition: Definition | null;
  by: Author | null;
}

/** The author of the last change. */
export interface Author {
  userId: string;
  who: string;
  at: string;
}

/** A flow as the server has it. */
export interface ServerFlow {
  id: string;
  name: string;
  status: FlowStatus;
  /** Its current version, which triggers start. */
  version: number;
  definition: Definition;
  /** Only editors see it. */
  draft?: ServerDraft;
}

/** The state of a flow that each of its open editors polls. */
export type Presence = Pick<Schemas["PresenceOut"], "people" | "scheduled">;

/** The save state of the changes. */
type Saving =
  | { kind: "idle" }
  | { kind: "saving" }
  /** The server refused it. It is sent again after the next change. */
  | { kind: "refused"; message: string }
  /** The draft is saved, but the server refused to publish it. */
  | { kind: "unpublished"; message: string }
  /** The server cannot be reached. The save is retried. */
  | { kind: "away"; message: string }
  /** Another user has saved since: `theirs` is the server's current version. */
  | { kind: "conflict"; theirs: ServerFlow };

/** A node's pinned output, and its branch if the node has branches. */
export interface Pin {
  output: Json;
  branch?: string | null;
}
export type Pinned = Readonly<Record<string, Pin>>;

/** The `field` of a node whose settings are shown, without a focus. */
export const SETTINGS = "config";

export interface EditorState extends AnnotationActions {
  flow: { id: string; name: string; status: FlowStatus };
  /** The current version of the flow and its definition; equal to `definition` if everything is published. */
  version: number;
  published: Definition;
  /** The version on which the draft is based: less than `version` if another version was saved since. */
  base: number;
  /** The server's revision of the draft, and its author. */
  revision: number;
  draftBy: Author | null;
  /** The draft on the server, or the current version without one; equal to `definition` if everything is saved. */
  saved: Definition;
  definition: Definition;
  presence: Presence;
  saving: Saving;
  /** True if the role or the screen (a phone) only permits viewing. */
  readOnly: boolean;
  catalogue: Catalogue | undefined;

  /** Ids of the selected nodes and keys of notes and groups; keys (`edgeKey`) of the selected edges. */
  selected: readonly string[];
  selectedEdges: readonly string[];
  history: History;
  /** The validator's latest response, valid if `check.of === definition`. */
  check: Check | null;
  /** Pinned outputs for trying out; not part of the definition. */
  pinned: Pinned;
  /** The outcomes of the nodes in the run on the canvas, by node id, and the keys of the edges taken. */
  marks: ReadonlyMap<string, Mark>;
  liveEdges: ReadonlySet<string>;
  /** The action of Ctrl+Enter, and of Ctrl+Shift+Enter for a node alone; null if nothing can be run. */
  run: ((nodeId?: string) => void) | null;
  /** The field of the selected node to focus, such as `config.url`; `mark` only frames it, SETTINGS only opens their tab. */
  field: { nodeId: string; path: string; at: number; mark?: boolean } | null;
  /** Saves the output of a node in the shown run as its pinned output; null if there is no run to take it from. */
  pinOutput: ((nodeId: string) => void) | null;
  /** Ask the canvas to show these nodes and to focus the first; `center`: in the middle, even if it is in view. */
  reveal: { ids: readonly string[]; focus: boolean; at: number; center?: boolean } | null;

  /** Change the definition as one undo step; changes with the same `key` in quick succession are merged. */
  change: (label: string, make: (definition: Definition) => Definition, options?: ChangeOptions) => void;
  undo: () => void;
  redo: () => void;
  select: (nodes: readonly string[], edges?: readonly string[]) => void;
  selectAll: () => void;
  /** Select the node and bring it into view; with a field, focus that field. */
  goTo: (nodeId: string, field?: string | null) => void;
  /** Select the node, bring it to the middle and frame the field. The focus stays where it is. */
  show: (nodeId: string, field: string | null) => void;
  /** Select the node and move the keyboard focus to it. */
  walkTo: (nodeId: string, tab?: typeof SETTINGS | null) => void;

  /** Add a node and select it. Return its id. */
  addNode: (node: changes.NewNode, where: changes.Where) => string;
  moveNodes: (positions: ReadonlyMap<string, Position>) => void;
  removeSelected: () => void;
  removeNodes: (ids: readonly string[]) => void;
  duplicate: (ids: readonly string[]) => void;
  paste: (piece: changes.Piece, at?: Position) => void;
  connect: (edge: FlowEdge) => void;
  disconnect: (edgeKeys: readonly string[]) => void;
  /** Reconnect an edge's start or end. */
  reconnect: (edgeKey: string, edge: FlowEdge) => void;
  /** Change fields of a node; typing into one field is one undo step. An undefined value removes a key. */
  patchNode: (id: string, patch: changes.Patch) => void;
  setConfig: (id: string, config: Record<string, Json>) => void;
  renameNode: (id: string, wanted: string) => void;
  /** After a new name: let the id follow it, unless the id is used elsewhere or was chosen by hand. */
  followName: (id: string, nameBefore: string | undefined) => void;
  setSettings: (patch: FlowSettings) => void;
  replaceDefinition: (definition: Definition, label: string, key?: string) => void;
  arrange: (heightOf?: (id: string) => number) => void;

  pin: (nodeId: string, pin: Pin) => void;
  unpin: (nodeId: string) => void;
  setMarks: (marks: ReadonlyMap<string, Mark>, liveEdges?: ReadonlySet<string>) => void;
  setRun: (run: ((nodeId?: string) => void) | null) => void;
  setPinOutput: (pinOutput: ((nodeId: string) => void) | null) => void;
  setCatalogue: (catalogue: Catalogue) => void;
  setCheck: (check: Check) => void;
  setSaving: (saving: Saving) => void;
  setReadOnly: (readOnly: boolean) => void;
  /** The server has this definition, as its draft or as its current version. */
  setSaved: (flow: ServerFlow, definition: Definition) => void;
  /** Set the version on which the draft is based, to publish it over newer ones. */
  setBase: (base: number) => void;
  setPresence: (presence: Presence) => void;
  /** Change name and status, which are not part of a version. */
  setFlow: (flow: Partial<EditorState["flow"]>) => void;
  /** Replace the definition by the server's; `keepHistory` allows undo. */
  take: (flow: ServerFlow, keepHistory: boolean) => void;
  /**
   * Take over the changes that the server has since the last save here, and keep one's own; `prefer` says which side
   * wins if both changed the same. Undo then undoes one's own changes only.
   */
  join: (flow: ServerFlow, prefer: "mine" | "theirs") => void;
  /** Return the values that this definition and the server's changed since the last save here, each in another way. */
  clashesWith: (flow: ServerFlow, mine: Definition) => readonly Clash[];
}

export type EditorStore = StoreApi<EditorState>;

const NOTHING: readonly string[] = [];

/** Return the name on a node's card; its id if it is unknown. */
export function calledIn({ definition, catalogue }: EditorState, id: string): string {
  const node = changes.nodeOf(definition, id);
  return node === undefined ? id : nameOf(node, catalogue?.find(node.type));
}

function isLiteralIn(catalogue: Catalogue | undefined): IsLiteral {
  return (type, key) => {
    const properties = catalogue?.find(type)?.config_schema.properties as
      | Record<string, { "x-literal"?: boolean }>
      | undefined;
    return properties?.[key]?.["x-literal"] === true;
  };
}

/** Return the ids and keys that still exist. */
function present(chosen: readonly string[], definition: Definition): readonly string[] {
  const there = keysOf(definition);
  return chosen.every((id) => there.has(id)) ? chosen : chosen.filter((id) => there.has(id));
}

/** Return the definition that editors see: the draft, or the current version without one. */
export function shownOf(flow: Pick<ServerFlow, "definition" | "draft">): Definition {
  return flow.draft?.definition ?? flow.definition;
}

/** Return the state of the server, as far as the store knows it. */
export function serverOf(state: EditorState): ServerFlow {
  const { flow, version, published, saved, revision, base, draftBy } = state;
  const draft: ServerDraft =
    saved === published
      ? { revision, base: null, definition: null, by: null }
      : { revision, base, definition: saved, by: draftBy };
  return { ...flow, version, definition: published, draft };
}

/** Return the state of the server as the store has it; `shown` is the definition on the screen that equals it. */
function heldOf(flow: ServerFlow, shown: Definition) {
  const { id, name, status, version, draft } = flow;
  const hasDraft = draft != null && draft.definition !== null;
  return {
    flow: { id, name, status },
    version,
    published: hasDraft ? changes.placed(flow.definition) : shown,
    base: draft?.base ?? version,
    revision: draft?.revision ?? 0,
    draftBy: hasDraft ? draft.by : null,
    saved: shown,
  };
}

export function makeStore(flow: ServerFlow, pinned: Pinned = {}, now: () => number = Date.now): EditorStore {
  const first = changes.placed(shownOf(flow));
  return createStore<EditorState>()((set, get) => {
    function change(
      label: string,
      make: (definition: Definition) => Definition,
      { key, select }: ChangeOptions = {},
    ): void {
      const { definition, selected, history, readOnly } = get();
      if (readOnly) return;
      const made = make(definition);
      if (made === definition) return;
      set({
        definition: made,
        history: recorded(history, label, { definition, selected }, now(), key),
        selected: present(select ?? selected, made),
        selectedEdges: NOTHING,
      });
    }

    function travel(step: typeof undone): void {
      const { definition, selected, history, readOnly } = get();
      const found = readOnly ? undefined : step(history, { definition, selected });
      if (found === undefined) return;
      const { moment } = found;
      set({
        history: found.history,
        definition: moment.definition,
        selected: present(moment.selected, moment.definition),
        selectedEdges: NOTHING,
      });
    }

    /** Merges the server's definition into one's own, since the last save here. */
    function joinerOf(server: ServerFlow) {
      const { definition, saved } = get();
      const theirs = changes.placed(shownOf(server));
      // Two people have added different nodes under one id: the one that is not saved yet gets another.
      const taken = [definition, theirs].flatMap(({ nodes }) => nodes.map((node) => node.id));
      const names = new Map<string, string>();
      for (const id of twins(saved, definition, theirs)) {
        names.set(id, freshId(bare(id), [...taken, ...names.values()]));
      }
      const join = (one: Definition, prefer: "mine" | "theirs" = "mine") => {
        let mine = one;
        for (const [id, wanted] of names) mine = changes.renamed(mine, id, wanted, isLiteral);
        return merge(saved, mine, theirs, prefer);
      };
      return { join, names, theirs };
    }

    const isLiteral: IsLiteral = (type, key) => isLiteralIn(get().catalogue)(type, key);
    const called = (id: string) => calledIn(get(), id);

    return {
      ...heldOf(flow, first),
      definition: first,
      presence: { people: [], scheduled: null },
      saving: { kind: "idle" },
      readOnly: false,
      catalogue: undefined,
      selected: NOTHING,
      selectedEdges: NOTHING,
      history: NO_HISTORY,
      check: null,
      pinned,
      marks: new Map(),
      liveEdges: new Set(),
      run: null,
      pinOutput: null,
      field: null,
      reveal: null,

      change,
      undo: () => travel(undone),
      redo: () => travel(redone),
      select: (nodes, edges = NOTHING) => set({ selected: nodes, selectedEdges: edges, field: null }),
      selectAll: () => set({ selected: shownKeys(get()), selectedEdges: NOTHING }),
      goTo: (nodeId, path = null) =>
        set({
          folds: shownThrough(get(), nodeId),
          selected: [nodeId],
          selectedEdges: NOTHING,
          reveal: { ids: [nodeId], focus: false, at: now() },
          field: path ? { nodeId, path, at: now() } : null,
        }),
      show: (nodeId, path) =>
        set({
          folds: shownThrough(get(), nodeId),
          selected: [nodeId],
          selectedEdges: NOTHING,
          reveal: { ids: [nodeId], focus: false, at: now(), center: true },
          field: path === null ? null : { nodeId, path, at: now(), mark: true },
        }),
      walkTo: (nodeId, path = null) =>
        set({
          folds: shownThrough(get(), nodeId),
          selected: [nodeId],
          selectedEdges: NOTHING,
          reveal: { ids: [nodeId], focus: true, at: now() },
          field: path ? { nodeId, path, at: now() } : null,
        }),

      addNode: (node, where) => {
        const { definition, id } = changes.added(get().definition, node, where);
        change(`add ${node.name ?? node.type}`, () => definition, { select: [id] });
        return id;
      },
      moveNodes: (positions) =>
        change(positions.size === 1 ? "move a node" : `move ${positions.size} nodes`, (before) =>
          changes.moved(before, positions),
        ),
      removeSelected: () => {
        const { selected, selectedEdges } = get();
        if (selected.length > 0) get().removeNodes(get().whole(selected));
        else get().disconnect(selectedEdges);
      },
      removeNodes: (ids) => {
        const label = ids.length === 1 ? `delete ${called(ids[0] as string)}` : `delete ${ids.length} elements`;
        change(label, (before) => changes.removed(before, ids));
      },
      duplicate: (ids) => get().paste(changes.pieceOf(get().definition, get().within(ids))),
      paste: (piece, at) => {
        if (piece.nodes.length + (piece.notes?.length ?? 0) === 0) return;
        const made = changes.pasted(get().definition, piece, isLiteral, at);
        const label = made.ids.length === 1 ? "add a copy" : `add ${made.ids.length} elements`;
        change(label, () => made.definition, { select: made.ids });
        set({ reveal: { ids: made.ids, focus: false, at: now() } });
      },
      connect: (added) =>
        change(`connect ${called(added.from)} and ${called(added.to)}`, (before) => changes.connected(before, added)),
      disconnect: (edgeKeys) => change("disconnect", (before) => changes.disconnected(before, edgeKeys)),
      reconnect: (old, edge) =>
        change("reconnect", (before) => changes.connected(changes.disconnected(before, [old]), edge)),
      patchNode: (id, patch) =>
        change(`change ${called(id)}`, (before) => changes.patched(before, id, patch), {
          key: `${id} ${Object.keys(patch).sort().join(" ")}`,
        }),
      setConfig: (id, config) => get().patchNode(id, { config }),
      renameNode: (id, wanted) => {
        const { selected, pinned: pins } = get();
        change(`rename ${id} to ${wanted}`, (before) => changes.renamed(before, id, wanted, isLiteral), {
          select: selected.map((one) => (one === id ? wanted : one)),
        });
        const output = pins[id];
        if (output === undefined || changes.nodeOf(get().definition, wanted) === undefined) return;
        const { [id]: _moved, ...rest } = pins;
        set({ pinned: { ...rest, [wanted]: output } });
      },
      followName: (id, nameBefore) => {
        const { definition, published, marks, readOnly } = get();
        // A run on the canvas has its data under this id.
        const wanted = readOnly || marks.has(id) ? undefined : followingId(definition, published, id, nameBefore);
        if (wanted !== undefined) get().renameNode(id, wanted);
      },
      setSettings: (patch) =>
        change("change the settings", (before) => changes.withSettings(before, patch), {
          key: `settings ${Object.keys(patch).join(" ")}`,
        }),
      replaceDefinition: (definition, label, key) => change(label, () => changes.placed(definition), { key }),
      ...annotationActions(change, set, get),
      arrange: (heightOf) =>
        change("tidy up", (before) => changes.arranged(before, heightOf, (group) => isFoldedIn(get(), group))),

      pin: (nodeId, pin) => set({ pinned: { ...get().pinned, [nodeId]: pin } }),
      unpin: (nodeId) => {
        const { [nodeId]: _gone, ...rest } = get().pinned;
        set({ pinned: rest });
      },
      setMarks: (marks, liveEdges = new Set()) => set({ marks, liveEdges }),
      setRun: (run) => set({ run }),
      setPinOutput: (pinOutput) => set({ pinOutput }),
      setCatalogue: (catalogue) => set({ catalogue }),
      setCheck: (check) => set({ check }),
      setSaving: (saving) => set({ saving }),
      setReadOnly: (readOnly) => set({ readOnly }),
      setSaved: (server, definition) => set({ ...heldOf(server, definition), saving: { kind: "idle" } }),
      setBase: (base) => set({ base }),
      setPresence: (presence) => set({ presence }),
      setFlow: (patch) => set({ flow: { ...get().flow, ...patch } }),
      take: (server, keepHistory) => {
        const { definition, selected, history } = get();
        const theirs = changes.placed(shownOf(server));
        set({
          ...heldOf(server, theirs),
          definition: theirs,
          saving: { kind: "idle" },
          history: keepHistory ? recorded(history, "use theirs", { definition, selected }, now()) : NO_HISTORY,
          selected: present(selected, theirs),
          selectedEdges: NOTHING,
        });
      },
      clashesWith: (server, mine) => joinerOf(server).join(mine).clashes,
      join: (server, prefer) => {
        const { definition, selected, history, pinned: pins } = get();
        const { join, names, theirs } = joinerOf(server);
        const after = (moment: Moment): Moment => ({ ...moment, definition: join(moment.definition).definition });
        const made = join(definition, prefer).definition;
        const chosen = selected.map((id) => names.get(id) ?? id);
        const rebased: History = {
          past: history.past.map((step) => ({ ...step, before: after(step.before) })),
          future: history.future.map((step) => ({ ...step, after: after(step.after) })),
          latest: null,
        };
        set({
          ...heldOf(server, theirs),
          definition: isSame(made, theirs) ? theirs : made,
          saving: { kind: "idle" },
          history:
            prefer === "mine"
              ? rebased
              : recorded(rebased, "use theirs", after({ definition, selected: chosen }), now()),
          selected: present(chosen, made),
          selectedEdges: NOTHING,
          pinned: Object.fromEntries(Object.entries(pins).map(([id, pin]) => [names.get(id) ?? id, pin])),
        });
      },
    };
  });
}

/** Return true if the flow has changes since its current version: a draft, on the server or not yet. */
export function isUnpublished(state: Pick<EditorState, "definition" | "published">): boolean {
  return state.definition !== state.published;
}

/** Return true if the server lacks some changes. */
export function isDirty(state: Pick<EditorState, "definition" | "saved">): boolean {
  return state.definition !== state.saved;
}
