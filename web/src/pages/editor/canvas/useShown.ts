/** The nodes and edges of the canvas, made from the editor's state. */
import { useMemo, useState } from "react";
import { type Folded, folded } from "@/definition/folding";
import type { FlowGroup } from "@/definition/types";
import { namesIn } from "@/graph/nameOf";
import { useCounts } from "@/runs/useCounts";
import { useRun } from "@/runs/useRun";
import { isFoldedIn } from "../annotationActions";
import { useEditor } from "../context";
import { shownOf, useRunStore } from "../run/runStore";
import { type AnyNode, annotationMaker } from "./annotationNodes";
import { edgeMaker, type Moving, nodeMaker, type CanvasEdge as ShownEdge } from "./nodes";

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
    return makeEdges(view.edges, selectedEdges, live, (id) => names.get(id) ?? id, counts);
  }, [makeEdges, definition, view.edges, catalogue, selectedEdges, live, counts]);
  return { nodes, edges };
}
