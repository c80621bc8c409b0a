/** Changes of notes and groups: pure functions like those of `changes`, which call these for their parts. */
import { groupKey, groupOf, groupsByNode, noteKey, noteOf } from "@/definition/annotations";
import { freshId } from "@/definition/graph";
import type { Definition, FlowGroup, FlowNote, Position } from "@/definition/types";

export const MAX_NOTES = 200;
export const MAX_NOTE = 5_000;
export const MAX_GROUPS = 200;

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

export type NotePatch = { [Key in keyof Omit<FlowNote, "id">]?: FlowNote[Key] | undefined };
export type GroupPatch = { [Key in keyof Omit<FlowGroup, "id" | "nodes">]?: FlowGroup[Key] | undefined };

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

export function patchedGroup(definition: Definition, key: string, patch: GroupPatch): Definition {
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
    groups.length === definition.groups?.length &&
    groups.every((group, at) => group === definition.groups?.[at]);
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
