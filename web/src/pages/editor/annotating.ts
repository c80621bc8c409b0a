/** Changes of notes and groups: pure functions like those of `changes`, which call these for their parts. */
import { groupKey, groupOf, groupsByNode, nodesAmong, noteKey, noteOf } from "@/definition/annotations";
import { folded } from "@/definition/folding";
import { freshId } from "@/definition/graph";
import type { Definition, FlowGroup, FlowNote, Position } from "@/definition/types";

const MAX_NOTES = 200;
export const MAX_NOTE = 5_000;
const MAX_GROUPS = 200;

/** Return the definition with these notes and groups; an empty list is left out. */
function withParts(definition: Definition, notes: FlowNote[], groups: FlowGroup[]): Definition {
  const { notes: _notes, groups: _groups, ...rest } = definition;
  return {
    ...rest,
    ...(notes.length > 0 ? { notes } : {}),
    ...(groups.length > 0 ? { groups } : {}),
  };
}

function withNotes(definition: Definition, notes: FlowNote[]): Definition {
  return withParts(definition, notes, definition.groups ?? []);
}

function withGroups(definition: Definition, groups: FlowGroup[]): Definition {
  return withParts(definition, definition.notes ?? [], groups);
}

function ids(items: readonly { id: string }[] = []): Set<string> {
  return new Set(items.map((item) => item.id));
}

function withoutUndefined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as T;
}

type NotePatch = { [Key in keyof Omit<FlowNote, "id">]?: FlowNote[Key] | undefined };
type GroupPatch = { [Key in keyof Omit<FlowGroup, "id" | "nodes">]?: FlowGroup[Key] | undefined };

/** Return the definition with an empty note, and its key; undefined if it has the maximum number of notes. */
export function addedNote(
  definition: Definition,
  position: Position,
): { definition: Definition; key: string } | undefined {
  const notes = definition.notes ?? [];
  if (notes.length >= MAX_NOTES) return undefined;
  const id = freshId("note", ids(notes));
  return { definition: withNotes(definition, [...notes, { id, text: "", position }]), key: noteKey(id) };
}

export function patchedNote(definition: Definition, key: string, patch: NotePatch): Definition {
  if (noteOf(definition, key) === undefined) return definition;
  const notes = (definition.notes ?? []).map((note) =>
    noteKey(note.id) === key ? withoutUndefined({ ...note, ...patch }) : note,
  );
  return withNotes(definition, notes);
}

function patchedGroup(definition: Definition, key: string, patch: GroupPatch): Definition {
  if (groupOf(definition, key) === undefined) return definition;
  const groups = (definition.groups ?? []).map((group) =>
    groupKey(group.id) === key ? withoutUndefined({ ...group, ...patch }) : group,
  );
  return withGroups(definition, groups);
}

/** Return groups without these nodes; a group without nodes is left out. */
function without(groups: readonly FlowGroup[], gone: ReadonlySet<string>): FlowGroup[] {
  return groups.flatMap((group) => {
    const nodes = group.nodes.filter((id) => !gone.has(id));
    if (nodes.length === 0) return [];
    return [nodes.length === group.nodes.length ? group : { ...group, nodes }];
  });
}

/** Put these nodes into the group `into`, else a new one, and out of their former groups. */
export function grouped(
  definition: Definition,
  nodes: readonly string[],
  into?: string,
): { definition: Definition; key: string } | undefined {
  const target = into === undefined ? undefined : groupOf(definition, into);
  const chosen = new Set(nodes);
  const others = without(
    (definition.groups ?? []).filter((group) => group !== target),
    chosen,
  );
  if (nodes.length === 0 || (target === undefined && others.length >= MAX_GROUPS)) return undefined;
  const id = target?.id ?? freshId("group", ids(definition.groups));
  const members = [...new Set([...(target?.nodes ?? []), ...nodes])];
  const group: FlowGroup = { ...(target ?? { id, name: "Group" }), nodes: members };
  return { definition: withGroups(definition, [...others, group]), key: groupKey(id) };
}

/** Remove the groups with these keys, and take these nodes out of their groups. The nodes stay. */
export function ungrouped(definition: Definition, keys: readonly string[]): Definition {
  const gone = new Set(keys);
  const left = (definition.groups ?? []).filter((group) => !gone.has(groupKey(group.id)));
  const groups = without(left, gone);
  const isSame =
    groups.length === definition.groups?.length && groups.every((group, at) => group === definition.groups?.[at]);
  return isSame || definition.groups === undefined ? definition : withGroups(definition, groups);
}

/** Remove the notes and groups with these keys, and these nodes from groups. */
export function withoutKeys(definition: Definition, gone: ReadonlySet<string>): Definition {
  const rest = ungrouped(definition, [...gone]);
  const notes = (definition.notes ?? []).filter((note) => !gone.has(noteKey(note.id)));
  return notes.length === (definition.notes ?? []).length ? rest : withNotes(rest, notes);
}

/** Move the notes with these keys. */
export function movedNotes(definition: Definition, positions: ReadonlyMap<string, Position>): Definition {
  let changed = false;
  const notes = (definition.notes ?? []).map((note) => {
    const to = positions.get(noteKey(note.id));
    if (to === undefined || (note.position?.x === to.x && note.position.y === to.y)) return note;
    changed = true;
    return { ...note, position: to };
  });
  return changed ? { ...definition, notes } : definition;
}

/** Replace ids of nodes in groups. */
export function withRenamedMembers(definition: Definition, names: ReadonlyMap<string, string>): Definition {
  if (!definition.groups?.some((group) => group.nodes.some((id) => names.has(id)))) return definition;
  const groups = definition.groups.map((group) => ({
    ...group,
    nodes: group.nodes.map((id) => names.get(id) ?? id),
  }));
  return { ...definition, groups };
}

/** Put a node between two nodes of one group into this group. */
export function joined(definition: Definition, id: string, one: string, other: string): Definition {
  const byNode = groupsByNode(definition);
  const group = byNode.get(one);
  if (group === undefined || group !== byNode.get(other)) return definition;
  return grouped(definition, [id], groupKey(group.id))?.definition ?? definition;
}

/** The notes and groups of a copied piece. */
export interface Extras {
  notes?: FlowNote[];
  groups?: FlowGroup[];
}

/** Return the chosen notes, and the groups of which all nodes are chosen. */
export function extrasOf(definition: Definition, chosen: ReadonlySet<string>): Extras {
  const notes = (definition.notes ?? []).filter((note) => chosen.has(noteKey(note.id)));
  const groups = (definition.groups ?? []).filter((group) => group.nodes.every((id) => chosen.has(id)));
  return { ...(notes.length > 0 ? { notes } : {}), ...(groups.length > 0 ? { groups } : {}) };
}

/** Insert copied notes and groups with new ids; `names` are the new ids of the copied nodes. Return the notes' keys. */
export function withExtras(
  definition: Definition,
  { notes = [], groups = [] }: Extras,
  names: ReadonlyMap<string, string>,
  shifted: (position: Position | undefined) => Position,
): { definition: Definition; keys: string[] } {
  const [takenNotes, takenGroups] = [ids(definition.notes), ids(definition.groups)];
  const fresh = (id: string, taken: Set<string>) => {
    const made = freshId(id.replace(/_\d+$/, ""), taken);
    taken.add(made);
    return made;
  };
  const newNotes = notes
    .slice(0, MAX_NOTES - takenNotes.size)
    .map((note) => ({ ...note, id: fresh(note.id, takenNotes), position: shifted(note.position) }));
  const newGroups = groups.slice(0, MAX_GROUPS - takenGroups.size).map((group) => ({
    ...group,
    id: fresh(group.id, takenGroups),
    nodes: group.nodes.flatMap((id) => names.get(id) ?? []),
  }));
  const made = withParts(
    definition,
    [...(definition.notes ?? []), ...newNotes],
    [...(definition.groups ?? []), ...newGroups.filter((group) => group.nodes.length > 0)],
  );
  return { definition: made, keys: newNotes.map((note) => noteKey(note.id)) };
}

// The store's actions on notes and groups, and on several nodes at once.

type Refusal = string | undefined;

export interface AnnotationActions {
  /**
   * Groups folded or unfolded only on this screen, by id: while the flow is read-only, or to show a node within. Else
   * the definition says it.
   */
  folds: ReadonlyMap<string, boolean>;
  /** The key of the note whose text is being edited on the canvas. */
  writing: string | null;
  setWriting: (key: string | null) => void;

  /** Add a note, select it and edit its text. Like the others, return why nothing happened. */
  addNote: (position: Position) => Refusal;
  patchNote: (key: string, patch: NotePatch) => void;
  patchGroup: (key: string, patch: GroupPatch) => void;
  /** Put the nodes among these keys into a new group, or into the group among them. */
  group: (keys: readonly string[]) => Refusal;
  /** Remove these groups and take these nodes out of theirs. */
  ungroup: (keys: readonly string[]) => void;
  /** Fold or unfold the groups among these keys, and those of the nodes among them. */
  fold: (keys: readonly string[]) => Refusal;
  /** Disable these nodes; enable them if all of them are disabled. */
  toggleDisabled: (keys: readonly string[]) => void;
  /** Return the keys, with the nodes of each group among them that is folded: its card stands for them. */
  whole: (keys: readonly string[]) => string[];
  /** Return the keys, with the nodes of every group among them. */
  within: (keys: readonly string[]) => string[];
}

export interface ChangeOptions {
  key?: string;
  select?: readonly string[];
}

/** The parts of the editor's state that these actions read and set. */
interface Shown extends Pick<AnnotationActions, "folds" | "writing"> {
  definition: Definition;
  selected: readonly string[];
  readOnly: boolean;
}

type Change = (label: string, make: (before: Definition) => Definition, options?: ChangeOptions) => void;
type Fields = Pick<Shown, "definition" | "folds">;

export function isFoldedIn({ folds }: Pick<Shown, "folds">, group: FlowGroup): boolean {
  return folds.get(group.id) ?? group.folded ?? false;
}

/** Return the keys of everything on the canvas that can be selected. */
export function shownKeys(state: Fields): string[] {
  const { nodes, cards } = folded(state.definition, (group) => isFoldedIn(state, group));
  const notes = state.definition.notes ?? [];
  return [
    ...nodes.map((node) => node.id),
    ...cards.map(({ group }) => groupKey(group.id)),
    ...notes.map((note) => noteKey(note.id)),
  ];
}

/** Return the folds with which the node is visible. */
export function shownThrough(state: Fields, nodeId: string): ReadonlyMap<string, boolean> {
  const group = groupsByNode(state.definition).get(nodeId);
  if (group === undefined || !isFoldedIn(state, group)) return state.folds;
  return new Map(state.folds).set(group.id, false);
}

/** Return the keys of the groups among these keys, and of those that contain nodes among them. */
export function groupsAmong(definition: Definition, keys: readonly string[]): string[] {
  const byNode = groupsByNode(definition);
  const found = keys.flatMap((key) => groupOf(definition, key) ?? byNode.get(key) ?? []);
  return [...new Set(found.map((group) => groupKey(group.id)))];
}

export function annotationActions(
  change: Change,
  set: (patch: Partial<Shown>) => void,
  get: () => Shown,
): AnnotationActions {
  function withMembers(keys: readonly string[], isWanted: (group: FlowGroup) => boolean): string[] {
    const { definition } = get();
    const members = keys.flatMap((key) => {
      const group = groupOf(definition, key);
      return group !== undefined && isWanted(group) ? group.nodes : [];
    });
    return [...new Set([...keys, ...members])];
  }

  return {
    folds: new Map(),
    writing: null,
    setWriting: (writing) => set({ writing }),
    addNote: (position) => {
      if (get().readOnly) return undefined;
      const made = addedNote(get().definition, position);
      if (made === undefined) return `A flow has at most ${MAX_NOTES} notes`;
      change("add a note", () => made.definition, { select: [made.key] });
      set({ writing: made.key });
      return undefined;
    },
    patchNote: (key, patch) =>
      change("change a note", (before) => patchedNote(before, key, patch), {
        key: `${key} ${Object.keys(patch).sort().join(" ")}`,
      }),
    patchGroup: (key, patch) =>
      change("change a group", (before) => patchedGroup(before, key, patch), {
        key: `${key} ${Object.keys(patch).sort().join(" ")}`,
      }),
    group: (keys) => {
      const { definition, readOnly } = get();
      const nodes = nodesAmong(
        definition,
        keys.filter((key) => groupOf(definition, key) === undefined),
      );
      if (readOnly) return undefined;
      if (nodes.length === 0) return "Select the nodes to group";
      const into = keys.find((key) => groupOf(definition, key) !== undefined);
      const made = grouped(definition, nodes, into);
      if (made === undefined) return `A flow has at most ${MAX_GROUPS} groups`;
      change("group nodes", () => made.definition, { select: [made.key] });
      return undefined;
    },
    ungroup: (keys) => change("ungroup", (before) => ungrouped(before, keys)),
    fold: (keys) => {
      const state = get();
      const groups = groupsAmong(state.definition, keys).flatMap((key) => groupOf(state.definition, key) ?? []);
      if (groups.length === 0) return "Select a group, or a node in a group";
      const next = !groups.every((group) => isFoldedIn(state, group));
      const folds = new Map(state.folds);
      if (state.readOnly) for (const { id } of groups) folds.set(id, next);
      else for (const { id } of groups) folds.delete(id);
      const chosen = groups.map(({ id }) => groupKey(id));
      set({ folds, selected: chosen });
      change(next ? "fold" : "unfold", (before) => foldedAs(before, groups, next), { select: chosen });
      return undefined;
    },
    toggleDisabled: (keys) => {
      const ids = new Set(nodesAmong(get().definition, keys));
      const chosen = get().definition.nodes.filter((node) => ids.has(node.id));
      if (chosen.length === 0) return;
      const disabled = !chosen.every((node) => node.disabled === true);
      change(disabled ? "disable" : "enable", (before) => ({
        ...before,
        nodes: before.nodes.map((node) => {
          if (!ids.has(node.id) || (node.disabled ?? false) === disabled) return node;
          const { disabled: _before, ...rest } = node;
          return disabled ? { ...rest, disabled } : rest;
        }),
      }));
    },
    whole: (keys) => withMembers(keys, (group) => isFoldedIn(get(), group)),
    within: (keys) => withMembers(keys, () => true),
  };
}

function foldedAs(definition: Definition, groups: readonly FlowGroup[], isFolded: boolean): Definition {
  return groups.reduce(
    (made, group) =>
      (group.folded ?? false) === isFolded
        ? made
        : patchedGroup(made, groupKey(group.id), { folded: isFolded || undefined }),
    definition,
  );
}
