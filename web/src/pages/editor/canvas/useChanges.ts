/** Changes that React Flow reports: selection, and drags of nodes, notes and groups. */

import type { EdgeChange, NodeChange } from "@xyflow/react";
import { useCallback, useMemo, useRef, useState } from "react";
import { boxOfNote, groupOf, noteOf } from "@/definition/annotations";
import { type Folded, folded } from "@/definition/folding";
import type { FlowGroup, Position } from "@/definition/types";
import { namesIn } from "@/graph/nameOf";
import { useCounts, useRun } from "@/runs/useRun";
import { isFoldedIn } from "../annotating";
import { useEditor, useEditorStore } from "../context";
import { shownOf, useRunStore } from "../run/runStore";
import type { EditorState } from "../store";
import { type AnyNode, annotationMaker, membersAt } from "./annotationNodes";
import { type CanvasEdge, edgeMaker, laneFinder, type Moving, nodeMaker, type CanvasEdge as ShownEdge } from "./nodes";

// The nodes and edges of the canvas, made from the editor's state.

interface Shown {
  nodes: AnyNode[];
  edges: ShownEdge[];
}

function useFolded(): { view: Folded; isFolded: (group: FlowGroup) => boolean } {
  const definition = useEditor((state) => state.definition);
  const folds = useEditor((state) => state.folds);
  return useMemo(() => {
    const isFolded = (group: FlowGroup) => isFoldedIn({ folds }, group);
    return { view: folded(definition, isFolded), isFolded };
  }, [definition, folds]);
}

/** A drag is local until it ends; then it is one change of the definition. */
export function useShown(moving: Moving): Shown {
  const flowId = useEditor((state) => state.flow.id);
  const definition = useEditor((state) => state.definition);
  const catalogue = useEditor((state) => state.catalogue);
  const check = useEditor((state) => state.check);
  const selected = useEditor((state) => state.selected);
  const selectedEdges = useEditor((state) => state.selectedEdges);
  const live = useEditor((state) => state.liveEdges);
  const counts = useCounts(useRun(useRunStore((runs) => shownOf(runs, flowId)).runId).data);
  const { view, isFolded } = useFolded();
  const [makeNodes] = useState(nodeMaker);
  const [makeAnnotations] = useState(annotationMaker);
  const [makeEdges] = useState(edgeMaker);
  const flowNodes = useMemo(
    () => makeNodes({ definition, shown: view.nodes, catalogue, check, selected, moving }),
    [makeNodes, definition, view.nodes, catalogue, check, selected, moving],
  );
  const annotations = useMemo(
    () => makeAnnotations({ definition, isFolded, selected, moving, nodes: flowNodes }),
    [makeAnnotations, definition, isFolded, selected, moving, flowNodes],
  );
  const nodes = useMemo<AnyNode[]>(
    () => (annotations.length === 0 ? flowNodes : [...annotations, ...flowNodes]),
    [annotations, flowNodes],
  );
  const edges = useMemo(() => {
    const names = namesIn(definition, catalogue);
    return makeEdges(view.edges, selectedEdges, live, (id) => names.get(id) ?? id, counts, laneFinder(flowNodes));
  }, [makeEdges, definition, view.edges, catalogue, selectedEdges, live, counts, flowNodes]);
  return { nodes, edges };
}

/** Return the selected ids after a change; the same list if nothing changed. */
function chosenAfter(
  before: readonly string[],
  changes: readonly { id: string; selected: boolean }[],
): readonly string[] {
  const set = new Set(before);
  for (const { id, selected } of changes) {
    if (selected) set.add(id);
    else set.delete(id);
  }
  return set.size === before.length && before.every((id) => set.has(id)) ? before : [...set];
}

/** Return the places of nodes and notes; a dragged group moves its nodes, unless they are dragged themselves. */
function placesOf(state: EditorState, dragged: ReadonlyMap<string, Position>): Map<string, Position> {
  const places = new Map<string, Position>();
  for (const [key, position] of dragged) {
    const group = groupOf(state.definition, key);
    if (group === undefined) continue;
    for (const [id, place] of membersAt(state.definition, group, isFoldedIn(state, group), position))
      places.set(id, place);
  }
  for (const [key, position] of dragged) if (groupOf(state.definition, key) === undefined) places.set(key, position);
  return places;
}

export function useChanges(setMoving: (make: (before: Moving) => Moving) => void) {
  const store = useEditorStore();
  const dragged = useRef(new Map<string, Position>());

  /** A note is resized at its lower right corner, so it keeps its position. */
  const resize = useCallback(
    (key: string, size: { width: number; height: number }, isGoing: boolean) => {
      const note = noteOf(store.getState().definition, key);
      if (note === undefined) return;
      const whole = { width: Math.round(size.width), height: Math.round(size.height) };
      if (isGoing) setMoving(() => new Map([[key, { ...boxOfNote(note), ...whole }]]));
      else {
        store.getState().patchNote(key, whole);
        setMoving(() => null);
      }
    },
    [store, setMoving],
  );

  const onNodesChange = useCallback(
    (changes: NodeChange<AnyNode>[]) => {
      const state = store.getState();
      const picks = changes.filter((change) => change.type === "select");
      if (picks.length > 0) {
        const selected = chosenAfter(state.selected, picks);
        if (selected !== state.selected) state.select(selected, state.selectedEdges);
      }
      for (const change of changes)
        if (change.type === "dimensions" && change.resizing !== undefined && change.dimensions !== undefined)
          resize(change.id, change.dimensions, change.resizing);
      const moves = changes.filter((change) => change.type === "position");
      if (moves.length === 0) return;
      for (const { id, position } of moves) if (position) dragged.current.set(id, position);
      const places = placesOf(state, dragged.current);
      if (moves.some((move) => move.dragging)) {
        setMoving(() => places);
        return;
      }
      state.moveNodes(places);
      dragged.current.clear();
      setMoving(() => null);
    },
    [store, setMoving, resize],
  );

  const onEdgesChange = useCallback(
    (changes: EdgeChange<CanvasEdge>[]) => {
      const state = store.getState();
      const picks = changes.filter((change) => change.type === "select");
      const edges = chosenAfter(state.selectedEdges, picks);
      if (edges !== state.selectedEdges) state.select(state.selected, edges);
    },
    [store],
  );
  return { onNodesChange, onEdgesChange };
}
