/**
 * All that the editor of one flow knows: the definition as it is being edited, what is selected, what can be undone,
 * what the validator says, what is saved. One store per open flow; nothing in here talks to the server or the disk.
 */
import { createStore, type StoreApi } from "zustand/vanilla";
import type { Catalogue } from "@/api/catalogue";
import type { Definition, FlowEdge, FlowSettings, Json, Position } from "@/definition/types";
import type { Mark } from "@/graph/NodeCard";
import { nameOf } from "@/graph/nameOf";
import * as changes from "./changes";
import { type History, NO_HISTORY, recorded, redone, undone } from "./history";
import type { Check } from "./problems";
import type { IsLiteral } from "./references";

export type FlowStatus = "draft" | "active" | "archived";

/** A flow as the server has it. */
export interface ServerFlow {
  id: string;
  name: string;
  status: FlowStatus;
  version: number;
  definition: Definition;
}

/** How what is edited stands to what the server has. */
export type Saving =
  | { kind: "idle" }
  | { kind: "saving" }
  /** The server does not take it as it is; it is sent again after the next change. */
  | { kind: "refused"; message: string }
  /** The server cannot be reached; it is tried again. */
  | { kind: "away"; message: string }
  /** Another person has saved since: `theirs` is what the server has now. */
  | { kind: "conflict"; theirs: ServerFlow };

/** What is taken for the output of a node, and the branch by which it leaves where it has any. */
export interface Pin {
  output: Json;
  branch?: string | null;
}
export type Pinned = Readonly<Record<string, Pin>>;

export interface EditorState {
  flow: { id: string; name: string; status: FlowStatus };
  /** The server's version that the edits are based on, and its definition: what is edited is saved when it is this. */
  version: number;
  saved: Definition;
  definition: Definition;
  saving: Saving;
  /** Whether the role or the place (a phone) allows to look only. */
  readOnly: boolean;
  catalogue: Catalogue | undefined;

  /** Ids of the selected nodes, keys (`edgeKey`) of the selected edges. */
  selected: readonly string[];
  selectedEdges: readonly string[];
  history: History;
  /** The validator's latest answer; `check.of === definition` where it is about what is shown. */
  check: Check | null;
  /** The outputs that are pinned to nodes for trying out; no part of the definition. */
  pinned: Pinned;
  /** What became of the nodes in the run that is shown on the canvas, by node id, and the keys of the edges taken. */
  marks: ReadonlyMap<string, Mark>;
  liveEdges: ReadonlySet<string>;
  /** What Ctrl+Enter does; null where nothing can be run. */
  run: (() => void) | null;
  /** The part of the selected node that a problem points to, such as `config.url`; the form goes there. */
  field: { nodeId: string; path: string; at: number } | null;
  /** Asks the canvas to show these nodes, and to put the keyboard's focus on the first. */
  reveal: { ids: readonly string[]; focus: boolean; at: number } | null;

  /** Any change as one step of undo; changes with the same `key` soon after one another are one step. */
  change: (label: string, make: (definition: Definition) => Definition, options?: ChangeOptions) => void;
  undo: () => void;
  redo: () => void;
  select: (nodes: readonly string[], edges?: readonly string[]) => void;
  selectAll: () => void;
  /** Selects the node, brings it into view and, with a field, leads the form to it. */
  goTo: (nodeId: string, field?: string | null) => void;
  /** Selects the node and lets the keyboard go on from it. */
  walkTo: (nodeId: string) => void;

  /** Adds a node, selects it, and gives its id. */
  addNode: (node: changes.NewNode, where: changes.Where) => string;
  moveNodes: (positions: ReadonlyMap<string, Position>) => void;
  removeSelected: () => void;
  removeNodes: (ids: readonly string[]) => void;
  duplicate: (ids: readonly string[]) => void;
  paste: (piece: changes.Piece, at?: Position) => void;
  connect: (edge: FlowEdge) => void;
  disconnect: (edgeKeys: readonly string[]) => void;
  /** Lets an edge begin or end elsewhere. */
  reconnect: (edgeKey: string, edge: FlowEdge) => void;
  /** Changes parts of a node; typing in one part of one node is one step of undo. An undefined value takes a key away. */
  patchNode: (id: string, patch: changes.Patch) => void;
  setConfig: (id: string, config: Record<string, Json>) => void;
  renameNode: (id: string, wanted: string) => void;
  setSettings: (patch: FlowSettings) => void;
  replaceDefinition: (definition: Definition, label: string, key?: string) => void;
  arrange: (heightOf?: (id: string) => number) => void;

  pin: (nodeId: string, pin: Pin) => void;
  unpin: (nodeId: string) => void;
  setMarks: (marks: ReadonlyMap<string, Mark>, liveEdges?: ReadonlySet<string>) => void;
  setRun: (run: (() => void) | null) => void;
  setCatalogue: (catalogue: Catalogue) => void;
  setCheck: (check: Check) => void;
  setSaving: (saving: Saving) => void;
  setReadOnly: (readOnly: boolean) => void;
  /** The server has taken this definition as that version. */
  setSaved: (flow: ServerFlow, definition: Definition) => void;
  /** Name and status, which are no part of a version. */
  setFlow: (flow: Partial<EditorState["flow"]>) => void;
  /** What the server has takes the place of what is edited; `keepHistory` lets it be undone. */
  take: (flow: ServerFlow, keepHistory: boolean) => void;
}

export interface ChangeOptions {
  key?: string;
  select?: readonly string[];
}

export type EditorStore = StoreApi<EditorState>;

const NOTHING: readonly string[] = [];

/** What a node is called on its card; its id where there is none. */
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

/** Without the ids that are gone. */
function present(chosen: readonly string[], definition: Definition): readonly string[] {
  const there = new Set(definition.nodes.map((node) => node.id));
  return chosen.every((id) => there.has(id)) ? chosen : chosen.filter((id) => there.has(id));
}

export function makeStore(flow: ServerFlow, pinned: Pinned = {}, now: () => number = Date.now): EditorStore {
  const first = changes.placed(flow.definition);
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

    const isLiteral: IsLiteral = (type, key) => isLiteralIn(get().catalogue)(type, key);
    const called = (id: string) => calledIn(get(), id);

    return {
      flow: { id: flow.id, name: flow.name, status: flow.status },
      version: flow.version,
      saved: first,
      definition: first,
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
      field: null,
      reveal: null,

      change,
      undo: () => travel(undone),
      redo: () => travel(redone),
      select: (nodes, edges = NOTHING) => set({ selected: nodes, selectedEdges: edges, field: null }),
      selectAll: () =>
        set({ selected: get().definition.nodes.map((node) => node.id), selectedEdges: NOTHING }),
      goTo: (nodeId, path = null) =>
        set({
          selected: [nodeId],
          selectedEdges: NOTHING,
          reveal: { ids: [nodeId], focus: false, at: now() },
          field: path ? { nodeId, path, at: now() } : null,
        }),
      walkTo: (nodeId) =>
        set({
          selected: [nodeId],
          selectedEdges: NOTHING,
          reveal: { ids: [nodeId], focus: true, at: now() },
          field: null,
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
        if (selected.length > 0) get().removeNodes(selected);
        else get().disconnect(selectedEdges);
      },
      removeNodes: (ids) => {
        const label = ids.length === 1 ? `delete ${called(ids[0] as string)}` : `delete ${ids.length} nodes`;
        change(label, (before) => changes.removed(before, ids));
      },
      duplicate: (ids) => get().paste(changes.pieceOf(get().definition, ids)),
      paste: (piece, at) => {
        if (piece.nodes.length === 0) return;
        const made = changes.pasted(get().definition, piece, isLiteral, at);
        const label = piece.nodes.length === 1 ? "add a copy" : `add ${piece.nodes.length} nodes`;
        change(label, () => made.definition, { select: made.ids });
        set({ reveal: { ids: made.ids, focus: false, at: now() } });
      },
      connect: (added) =>
        change(`connect ${called(added.from)} and ${called(added.to)}`, (before) =>
          changes.connected(before, added),
        ),
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
        change(`call ${id} ${wanted}`, (before) => changes.renamed(before, id, wanted, isLiteral), {
          select: selected.map((one) => (one === id ? wanted : one)),
        });
        const output = pins[id];
        if (output === undefined || changes.nodeOf(get().definition, wanted) === undefined) return;
        const { [id]: _moved, ...rest } = pins;
        set({ pinned: { ...rest, [wanted]: output } });
      },
      setSettings: (patch) =>
        change("change the settings", (before) => changes.withSettings(before, patch), {
          key: `settings ${Object.keys(patch).join(" ")}`,
        }),
      replaceDefinition: (definition, label, key) => change(label, () => changes.placed(definition), { key }),
      arrange: (heightOf) => change("arrange all", (before) => changes.arranged(before, heightOf)),

      pin: (nodeId, pin) => set({ pinned: { ...get().pinned, [nodeId]: pin } }),
      unpin: (nodeId) => {
        const { [nodeId]: _gone, ...rest } = get().pinned;
        set({ pinned: rest });
      },
      setMarks: (marks, liveEdges = new Set()) => set({ marks, liveEdges }),
      setRun: (run) => set({ run }),
      setCatalogue: (catalogue) => set({ catalogue }),
      setCheck: (check) => set({ check }),
      setSaving: (saving) => set({ saving }),
      setReadOnly: (readOnly) => set({ readOnly }),
      setSaved: (server, definition) =>
        set({
          saved: definition,
          version: server.version,
          flow: { id: server.id, name: server.name, status: server.status },
          saving: { kind: "idle" },
        }),
      setFlow: (patch) => set({ flow: { ...get().flow, ...patch } }),
      take: (server, keepHistory) => {
        const { definition, selected, history } = get();
        const theirs = changes.placed(server.definition);
        set({
          definition: theirs,
          saved: theirs,
          version: server.version,
          flow: { id: server.id, name: server.name, status: server.status },
          saving: { kind: "idle" },
          history: keepHistory
            ? recorded(history, "take theirs", { definition, selected }, now())
            : NO_HISTORY,
          selected: present(selected, theirs),
          selectedEdges: NOTHING,
        });
      },
    };
  });
}

/** Whether there is something that the server does not have. */
export function isDirty(state: Pick<EditorState, "definition" | "saved">): boolean {
  return state.definition !== state.saved;
}
