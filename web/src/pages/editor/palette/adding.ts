/** Add an entry of the palette to the flow as a node. */
import { useCallback, useMemo } from "react";
import { useCatalogue, usePack } from "@/api/catalogue";
import { api } from "@/api/client";
import { ancestors } from "@/definition/graph";
import { usedWays, waysOf } from "../branches";
import { type NewNode, nodeOf, type Where } from "../changes";
import { useEditorStore } from "../context";
import { withPath } from "../panel/starts";
import { type EditorState, SETTINGS } from "../store";
import { type Entry, entriesOfServices, entryOfPreset, entryOfType } from "./rank";

/** The services and operations that the user added last, by the keys of their palette entries. Newest first. */

// Forgotten at logout, as all keys with this prefix.
const KEPT = "headrace.recent.services";
const MAX_KEPT = 5;

export function recentServices(): string[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEPT) ?? "[]");
    return Array.isArray(kept) ? kept.map(String).slice(0, MAX_KEPT) : [];
  } catch {
    return [];
  }
}

function rememberService(key: string): void {
  const others = recentServices().filter((one) => one !== key);
  try {
    localStorage.setItem(KEPT, JSON.stringify([key, ...others].slice(0, MAX_KEPT)));
  } catch {
    // The browser's store is full: it is not remembered.
  }
}

/** The data type of a dragged entry's key. */
export const DRAGGED = "application/x-headrace-node";
const MOST_PRESETS = 200;

/** Return all entries: the server's node types and the workspace's presets. */
export function useEntries(): { entries: Entry[]; find: (key: string) => Entry | undefined } {
  const { catalogue } = useCatalogue();
  const { data } = api.useQuery(
    "get",
    "/api/presets",
    { params: { query: { limit: MOST_PRESETS } } },
    { staleTime: 60_000, enabled: usePack("importing") },
  );
  return useMemo(() => {
    const all = catalogue?.types ?? [];
    const types = all
      .filter((type) => !type.operations)
      .map((type) => entryOfType(type, catalogue?.categoryName(type.category)));
    const services = entriesOfServices(all.filter((type) => type.operations));
    const find = (type: string) => catalogue?.find(type);
    const presets = (data?.items ?? []).map((preset) => entryOfPreset(preset, find));
    const entries = [...types, ...services, ...presets];
    const byKey = new Map(entries.map((entry) => [entry.key, entry]));
    return { entries, find: (key: string) => byKey.get(key) };
  }, [catalogue, data]);
}

/** Return the place after the single selected node, at a branch without an edge. */
export function whereNext(state: EditorState): Where {
  const [id] = state.selected;
  const node = id === undefined || state.selected.length > 1 ? undefined : nodeOf(state.definition, id);
  if (node === undefined) return {};
  const used = usedWays(state.definition.edges).get(node.id) ?? [];
  const ways = waysOf(node, state.check?.ways.get(node.id), state.catalogue, used);
  const nth = Math.max(
    0,
    ways.findIndex((way) => !used.includes(way)),
  );
  return { after: { id: node.id, branch: ways[nth], nth } };
}

/** Return true if a node of the type may be placed there: a trigger has no input. */
export function fits(entry: Entry, where: Where): boolean {
  return !entry.type?.trigger || (where.after === undefined && where.on === undefined);
}

/** Add a node. A trigger gets the position, without the edge into it. */
export function addNode(state: EditorState, node: NewNode, where: Where): string {
  const type = state.catalogue?.find(node.type);
  const { after: _after, on: _on, ...place } = where;
  if (node.type === "respond") letRespond(state, where);
  const made = withPath(node, type, state.flow.name);
  const id = state.addNode(made, { ...(type?.trigger ? place : where), out: type?.branches[0] });
  if (type?.operations) rememberService(serviceKey(node));
  const missing = type === undefined ? undefined : missingSetting(type.config_schema, made.config ?? {});
  if (missing === undefined) state.walkTo(id, SETTINGS);
  else state.goTo(id, `config.${missing}`);
  return id;
}

/** Let the triggers before a new Respond node wait for it, unless the user has chosen when they respond. */
function letRespond({ definition, patchNode }: EditorState, { after, on }: Where): void {
  const id = after?.id ?? on?.from;
  if (id === undefined) return;
  const before = ancestors(definition, id).add(id);
  for (const { id: trigger, type, config = {} } of definition.nodes) {
    if (before.has(trigger) && ["webhook", "form"].includes(type) && config.respond === undefined) {
      patchNode(trigger, { config: { ...config, respond: "node" } });
    }
  }
}

/** Return the key of the palette's entry for a connector's node. */
function serviceKey({ type, config }: NewNode): string {
  const operation = config?.operation;
  return typeof operation === "string" ? `operation ${type} ${operation}` : `type ${type}`;
}

/** Return the first setting that a new node needs and lacks: what its user will want to type next. */
function missingSetting(schema: { [key: string]: unknown }, config: { [key: string]: unknown }): string | undefined {
  const needed = Array.isArray(schema.required) ? (schema.required as string[]) : [];
  const order = Object.keys((schema.properties ?? {}) as object);
  return order.find((key) => needed.includes(key) && config[key] === undefined);
}

export function useAddFrom(): (key: string, where: Where) => void {
  const store = useEditorStore();
  const { find } = useEntries();
  return useCallback(
    (key, where) => {
      const entry = find(key);
      if (entry !== undefined && !store.getState().readOnly) addNode(store.getState(), entry.node, where);
    },
    [find, store],
  );
}
