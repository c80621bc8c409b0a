import "@xyflow/react/dist/style.css";
import { useMantineColorScheme } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import {
  Background,
  type Connection,
  type Edge,
  type EdgeTypes,
  type FinalConnectionState,
  MiniMap,
  type NodeTypes,
  ReactFlow,
  type ReactFlowInstance,
  SelectionMode,
  useReactFlow,
  useStore,
  useStoreApi,
} from "@xyflow/react";
import { type DragEvent, type MouseEvent, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { boxOfNote } from "@/definition/annotations";
import { GRID, NODE } from "@/definition/size";
import type { Position } from "@/definition/types";
import graph from "@/graph/graph.module.css";
import { edge as edgeOf } from "../changes";
import { useEditor, useEditorStore } from "../context";
import { DRAGGED, useAddFrom } from "../palette/adding";
import { useUi } from "../ui";
import type { AnyNode as ShownNode } from "./annotationNodes";
import { AddButtons, CanvasControls } from "./CanvasControls";
import { CanvasEdge } from "./CanvasEdge";
import { CanvasNode } from "./CanvasNode";
import { ConnectionLine } from "./ConnectionLine";
import { ContextMenu, useContextMenu } from "./ContextMenu";
import classes from "./canvas.module.css";
import { useCanvasActions } from "./canvasActions";
import { refusalOfEdge } from "./connecting";
import { EmptyCanvas } from "./EmptyCanvas";
import { FoldedNode, FrameNode } from "./GroupNodes";
import { NoteNode } from "./NoteNode";
import { type Moving, type CanvasEdge as ShownEdge, wayOf } from "./nodes";
import { lowestZoom, READABLE } from "./refit";
import { useChanges } from "./useChanges";
import { useRefit } from "./useRefit";
import { useReveal } from "./useReveal";
import { useShown } from "./useShown";

const NODE_TYPES: NodeTypes = { flow: CanvasNode, note: NoteNode, frame: FrameNode, folded: FoldedNode };
const EDGE_TYPES: EdgeTypes = { flow: CanvasEdge };
const SNAP: [number, number] = [GRID, GRID];
const PAN_BUTTONS = [0, 1];
const LOWEST_WITH_MAP = 500;
const NARROWEST_WITH_MAP = 460;
const BARE = { hideAttribution: true };

/** Fit a small flow; show the start of one that would be too small to read. */
function firstView(flow: ReactFlowInstance<ShownNode, ShownEdge>): void {
  void flow.fitView({ maxZoom: 1, padding: 0.1 }).then(() => {
    if (flow.getZoom() >= READABLE) return;
    const first = flow.getNodes().reduce<ShownNode | undefined>((best, node) => {
      const isLefter = best === undefined || node.position.x < best.position.x;
      return isLefter ? node : best;
    }, undefined);
    const height = document.querySelector(".react-flow")?.clientHeight ?? 600;
    if (first === undefined) return;
    const zoom = 0.75;
    void flow.setViewport({
      x: 40 - first.position.x * zoom,
      y: height / 2 - (first.position.y + 32) * zoom,
      zoom,
    });
  });
}

function pointOf(event: globalThis.MouseEvent | TouchEvent): Position {
  const point = "changedTouches" in event ? event.changedTouches[0] : event;
  return { x: point?.clientX ?? 0, y: point?.clientY ?? 0 };
}

function useConnections() {
  const store = useEditorStore();
  const { screenToFlowPosition } = useReactFlow();

  const isValidConnection = useCallback(
    ({ source, target, sourceHandle }: Connection | Edge) =>
      refusalOfEdge(store.getState(), edgeOf(source, target, wayOf(sourceHandle))) === undefined,
    [store],
  );
  const onConnect = useCallback(
    ({ source, target, sourceHandle }: Connection) =>
      store.getState().connect(edgeOf(source, target, wayOf(sourceHandle))),
    [store],
  );
  const onConnectEnd = useCallback(
    (
      event: globalThis.MouseEvent | TouchEvent,
      { fromNode, fromHandle, toNode, isValid }: FinalConnectionState,
    ) => {
      if (isValid || toNode !== null || fromNode === null || store.getState().readOnly) return;
      const screen = pointOf(event);
      const at = screenToFlowPosition(screen);
      const isForward = fromHandle?.type === "source";
      const where = isForward
        ? { after: { id: fromNode.id, branch: wayOf(fromHandle?.id) }, position: { x: at.x, y: at.y - 32 } }
        : { before: fromNode.id, position: { x: at.x - 220, y: at.y - 32 } };
      useUi.getState().set({ quick: { screen, where } });
    },
    [store, screenToFlowPosition],
  );
  const onReconnect = useCallback(
    (old: ShownEdge, { source, target, sourceHandle }: Connection) =>
      store.getState().reconnect(old.id, edgeOf(source, target, wayOf(sourceHandle))),
    [store],
  );
  return { isValidConnection, onConnect, onConnectEnd, onReconnect };
}

/** Handle entries dropped from the palette, and double clicks on empty space. */
function useAdding() {
  const store = useEditorStore();
  const { screenToFlowPosition } = useReactFlow();
  const addFrom = useAddFrom();
  const onDrop = useCallback(
    (event: DragEvent) => {
      const dragged = event.dataTransfer.getData(DRAGGED);
      if (dragged === "") return;
      event.preventDefault();
      const at = screenToFlowPosition({ x: event.clientX, y: event.clientY });
      addFrom(dragged, { position: { x: at.x - 110, y: at.y - 32 } });
    },
    [addFrom, screenToFlowPosition],
  );
  const onDragOver = useCallback((event: DragEvent) => {
    if (!event.dataTransfer.types.includes(DRAGGED)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  }, []);
  const onDoubleClick = useCallback(
    (event: MouseEvent) => {
      if (store.getState().readOnly) return;
      if (!(event.target instanceof Element) || !event.target.classList.contains("react-flow__pane")) return;
      const screen = { x: event.clientX, y: event.clientY };
      const at = screenToFlowPosition(screen);
      useUi.getState().set({ quick: { screen, where: { position: { x: at.x - 110, y: at.y - 32 } } } });
    },
    [store, screenToFlowPosition],
  );
  return { onDrop, onDragOver, onDoubleClick };
}

/** Return the id of the node at a point, even if another element covers it. */
function nodeAt({ clientX, clientY }: MouseEvent): string | undefined {
  for (const element of document.elementsFromPoint(clientX, clientY)) {
    const node = element.closest<HTMLElement>(".react-flow__node");
    if (node !== null) return node.dataset.id;
  }
  return undefined;
}

/** Handle clicks on one of several selected nodes, also through the frame that a box selection leaves. */
function usePicking() {
  const store = useEditorStore();
  const canvas = useStoreApi();
  const onClick = useCallback(
    (event: MouseEvent) => {
      const { selected, select } = store.getState();
      const { target } = event;
      const isFrame =
        target instanceof Element && target.classList.contains("react-flow__nodesselection-rect");
      const id = nodeAt(event);
      const adds = event.shiftKey || event.ctrlKey || event.metaKey;
      if (isFrame) canvas.setState({ nodesSelectionActive: false });
      else if (adds || id === undefined || selected.length < 2) return;
      if (adds) select(selected.filter((one) => one !== id));
      else select(id === undefined ? [] : [id]);
    },
    [store, canvas],
  );
  return { onClick };
}

/** The minimum zoom: low enough to fit all nodes. */
function useLowestZoom(): number {
  const nodes = useEditor((state) => state.definition.nodes);
  const notes = useEditor((state) => state.definition.notes);
  const width = useStore((state) => state.width);
  const height = useStore((state) => state.height);
  return useMemo(() => {
    const boxes = nodes.map(({ position }) => ({ x: position?.x ?? 0, y: position?.y ?? 0, ...NODE }));
    return lowestZoom([...boxes, ...(notes ?? []).map(boxOfNote)], { width, height });
  }, [nodes, notes, width, height]);
}

const miniColor = (node: ShownNode) => {
  if (node.selected) return "var(--running)";
  return node.type === "frame"
    ? "transparent"
    : node.type === "note"
      ? "var(--mantine-color-yellow-5)"
      : "var(--quiet)";
};
const miniStroke = (node: ShownNode) => (node.type === "frame" ? "var(--quiet)" : miniColor(node));

export function Canvas() {
  const [moving, setMoving] = useState<Moving>(null);
  const { nodes, edges } = useShown(moving);
  const changes = useChanges(setMoving);
  const connections = useConnections();
  const adding = useAdding();
  const picking = usePicking();
  const minZoom = useLowestZoom();
  const readOnly = useEditor((state) => state.readOnly);
  const many = nodes.length > 60;
  const small = useMediaQuery("(max-width: 48em)") ?? false;
  // On a small canvas the map would cover nodes.
  const fitsMap = useStore(({ height, width }) => height >= LOWEST_WITH_MAP && width >= NARROWEST_WITH_MAP);
  const hasMap = fitsMap && !small && nodes.length > 0;
  const { colorScheme } = useMantineColorScheme();
  useReveal();
  useRefit();
  useCanvasActions();
  const place = useRef<HTMLDivElement>(null);
  useContextMenu(place);

  // The nodes of a newly opened flow are there at once. Replacing the store ends a drag.
  const definition = useEditor((state) => state.definition);
  // biome-ignore lint/correctness/useExhaustiveDependencies: every change of the definition ends a drag
  useEffect(() => setMoving(null), [definition]);

  return (
    <div ref={place} className={classes.place}>
      <ReactFlow<ShownNode, ShownEdge>
        className={graph.canvas}
        tabIndex={0}
        aria-label="The flow's graph. Arrow keys move between nodes, Enter opens a node, ? shows keyboard shortcuts."
        nodes={nodes}
        edges={edges}
        nodeTypes={NODE_TYPES}
        edgeTypes={EDGE_TYPES}
        colorMode={colorScheme === "auto" ? "system" : colorScheme}
        {...changes}
        {...connections}
        {...adding}
        {...picking}
        connectionLineComponent={ConnectionLine}
        connectionRadius={28}
        nodesDraggable={!readOnly}
        nodesConnectable={!readOnly}
        edgesFocusable={false}
        disableKeyboardA11y
        deleteKeyCode={null}
        multiSelectionKeyCode={["Shift", "Meta", "Control"]}
        selectionKeyCode="Shift"
        selectionMode={SelectionMode.Partial}
        snapToGrid
        snapGrid={SNAP}
        panOnDrag={PAN_BUTTONS}
        panOnScroll
        zoomOnDoubleClick={false}
        onlyRenderVisibleElements={many}
        onInit={firstView}
        minZoom={minZoom}
        maxZoom={2}
        proOptions={BARE}
      >
        <Background gap={GRID} color="var(--line)" size={1.5} />
        <AddButtons />
        <EmptyCanvas />
        <CanvasControls />
        {hasMap && (
          <MiniMap<ShownNode>
            pannable
            zoomable
            ariaLabel="Overview map"
            nodeColor={miniColor}
            nodeStrokeColor={miniStroke}
            maskColor="color-mix(in srgb, var(--page) 65%, transparent)"
            style={{ width: 150, height: 100 }}
          />
        )}
      </ReactFlow>
      <ContextMenu />
    </div>
  );
}
