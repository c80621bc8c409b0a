/** The store's actions on notes and groups, and on several nodes at once. */
import { groupKey, groupOf, groupsByNode, nodesAmong, noteKey } from "@/definition/annotations";
import { folded } from "@/definition/folding";
import type { Definition, FlowGroup, Position } from "@/definition/types";
import * as annotating from "./annotating";

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
  patchNote: (key: string, patch: annotating.NotePatch) => void;
  patchGroup: (key: string, patch: annotating.GroupPatch) => void;
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
      const made = annotating.addedNote(get().definition, position);
      if (made === undefined) return `A flow has at most ${annotating.MAX_NOTES} notes`;
      change("add a note", () => made.definition, { select: [made.key] });
      set({ writing: made.key });
      return undefined;
    },
    patchNote: (key, patch) =>
      change("change a note", (before) => annotating.patchedNote(before, key, patch), {
        key: `${key} ${Object.keys(patch).sort().join(" ")}`,
      }),
    patchGroup: (key, patch) =>
      change("change a group", (before) => annotating.patchedGroup(before, key, patch), {
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
      const made = annotating.grouped(definition, nodes, into);
      if (made === undefined) return `A flow has at most ${annotating.MAX_GROUPS} groups`;
      change("group nodes", () => made.definition, { select: [made.key] });
      return undefined;
    },
    ungroup: (keys) => change("ungroup", (before) => annotating.ungrouped(before, keys)),
    fold: (keys) => {
      const state = get();
      const groups = groupsAmong(state.definition, keys).flatMap(
        (key) => groupOf(state.definition, key) ?? [],
      );
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
        : annotating.patchedGroup(made, groupKey(group.id), { folded: isFolded || undefined }),
    definition,
  );
}
