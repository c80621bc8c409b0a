import { ActionIcon, Button, Group, Kbd, Stack, Text, Tooltip, useMantineColorScheme } from "@mantine/core";
import {
  IconKeyboard,
  IconLayoutDistributeVertical,
  IconLayoutSidebarLeftExpand,
  IconMaximize,
  IconMinus,
  IconNote,
  IconPlus,
  IconSearch,
} from "@tabler/icons-react";
import {
  Background,
  type Connection,
  type ConnectionLineComponentProps,
  type Edge,
  type EdgeTypes,
  type FinalConnectionState,
  getBezierPath,
  MiniMap,
  type NodeTypes,
  Panel,
  ReactFlow,
  type ReactFlowInstance,
  SelectionMode,
  useReactFlow,
  useStore,
  useStoreApi,
} from "@xyflow/react";
import { refusalOf } from "@/definition/graph";
import { type FlowEdge, GRID, NODE, type Position } from "@/definition/types";
import { Quiet } from "@/ui/Quiet";
import { edge, edge as edgeOf } from "../changes";
import { useEditor, useEditorStore } from "../context";
import { DRAGGED, useAddFrom, whereNext } from "../palette/adding";
import type { EditorState } from "../store";
import { openFind, useUi } from "../ui";
import type { AnyNode, AnyNode as ShownNode } from "./annotationNodes";
import classes from "./canvas.module.css";
import { act, canvasActions, useCanvasActions } from "./canvasActions";
import { type Moving, type CanvasEdge as ShownEdge, wayOf } from "./nodes";
import "@xyflow/react/dist/style.css";
import { useMediaQuery } from "@mantine/hooks";
import { type DragEvent, type MouseEvent, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { boxOfNote } from "@/definition/annotations";
import graph from "@/graph/graph.module.css";
import { viewOf } from "@/graph/view";
import { CanvasEdge, CanvasNode } from "./CanvasNode";

import { ContextMenu, useContextMenu } from "./ContextMenu";
import { FoldedNode, FrameNode, NoteNode } from "./GroupNodes";

import { lowestZoom, useRefit, useReveal } from "./refit";
import { useChanges, useShown } from "./useChanges";

// Check if two handles may be connected, and build the edge.

interface End {
  id: string;
  handle: string | null;
  type: "source" | "target";
}

/**
 * Return the edge between the two handles, in either direction of drawing; undefined for two handles of the same side.
 */
function edgeBetween(from: End, to: End): FlowEdge | undefined {
  if (from.type === to.type) return undefined;
  const [source, target] = from.type === "source" ? [from, to] : [to, from];
  return edge(source.id, target.id, wayOf(source.handle));
}

function refusalOfConnection(
  state: Pick<EditorState, "definition" | "catalogue">,
  from: End,
  to: End,
): string | undefined {
  if (from.id === to.id) return from.handle === to.handle ? undefined : "A node cannot be connected to itself";
  const made = edgeBetween(from, to);
  if (made === undefined)
    return from.type === "source"
      ? "Connect to an input on the left side of a node"
      : "Connect to an output on the right side of a node";
  return refusalOfEdge(state, made);
}

function refusalOfEdge(
  { definition, catalogue }: Pick<EditorState, "definition" | "catalogue">,
  made: FlowEdge,
): string | undefined {
  return refusalOf(definition, made, (type) => catalogue?.find(type)?.trigger ?? false);
}

/** The line while the user draws it, with the reason if it cannot end there. */
function ConnectionLine(props: ConnectionLineComponentProps<AnyNode>) {
  const { fromX, fromY, toX, toY, fromPosition, toPosition, fromNode, fromHandle, toNode, toHandle } = props;
  const state = useEditorStore().getState();
  const [path] = getBezierPath({
    sourceX: fromX,
    sourceY: fromY,
    sourcePosition: fromPosition,
    targetX: toX,
    targetY: toY,
    targetPosition: toPosition,
  });
  const refusal =
    toNode === null
      ? undefined
      : refusalOfConnection(
          state,
          { id: fromNode.id, handle: fromHandle.id ?? null, type: fromHandle.type },
          { id: toNode.id, handle: toHandle?.id ?? null, type: toHandle?.type ?? "target" },
        );
  return (
    <g>
      <path d={path} className={classes.line} data-refused={refusal !== undefined || undefined} />
      <circle cx={toX} cy={toY} r={4} fill="var(--mantine-primary-color-filled)" />
      {refusal !== undefined && (
        <text x={toX + 8} y={toY - 44} className={classes.refusal}>
          {refusal}
        </text>
      )}
    </g>
  );
}

/** Shown in an empty flow: how to start. */
function EmptyCanvas() {
  const isEmpty = useEditor((state) => state.definition.nodes.length === 0);
  const readOnly = useEditor((state) => state.readOnly);
  if (!isEmpty || readOnly) return null;
  return (
    <Panel position="top-center" style={{ top: "28%" }}>
      <Stack align="center" gap="xs" maw={380}>
        <Text fw={600} size="lg">
          This flow is empty
        </Text>
        <Quiet ta="center">Start with a trigger: a schedule, a webhook, or a manual start.</Quiet>
        <Button
          size="md"
          leftSection={<IconPlus size={18} aria-hidden />}
          onClick={(event) => {
            const box = event.currentTarget.getBoundingClientRect();
            useUi.getState().set({ quick: { screen: { x: box.left, y: box.top }, where: {} } });
          }}
        >
          Add first node
        </Button>
        <Quiet ta="center">
          You can also press <Kbd>/</Kbd>, double-click anywhere, or paste nodes or a cURL command with{" "}
          <Kbd>Ctrl + V</Kbd>.
        </Quiet>
      </Stack>
    </Panel>
  );
}

const SLOW = { duration: 200 };

/** Buttons to add a node, shown while the list of nodes is closed. */
function AddButtons() {
  const store = useEditorStore();
  const readOnly = useEditor((state) => state.readOnly);
  const open = useUi((ui) => ui.palette || ui.isNew);
  const json = useUi((ui) => ui.json);
  if (readOnly || (open && !json)) return null;
  return (
    <Panel position="top-left">
      <Group gap={4}>
        <Button
          leftSection={<IconPlus size={18} aria-hidden />}
          onClick={(event) => {
            const box = event.currentTarget.getBoundingClientRect();
            const screen = { x: box.left, y: box.bottom + 6 };
            useUi.getState().set({ quick: { screen, where: whereNext(store.getState()) } });
          }}
        >
          Add node
        </Button>
        {!json && (
          <Tooltip label="Show node list">
            <ActionIcon
              variant="default"
              size={36}
              aria-label="Show node list"
              data-next="[aria-label='Node list'] input"
              onClick={() => useUi.getState().keep({ palette: true })}
            >
              <IconLayoutSidebarLeftExpand size={20} stroke={1.7} aria-hidden />
            </ActionIcon>
          </Tooltip>
        )}
      </Group>
    </Panel>
  );
}

function CanvasControls() {
  const flow = useReactFlow();
  const store = useEditorStore();
  const readOnly = useEditor((state) => state.readOnly);

  const buttons = [
    { label: "Zoom in", icon: IconPlus, act: () => void flow.zoomIn(SLOW) },
    { label: "Zoom out", icon: IconMinus, act: () => void flow.zoomOut(SLOW) },
    {
      label: "Zoom to fit",
      icon: IconMaximize,
      act: () => canvasActions.current?.zoomToFit(),
    },
    ...(readOnly
      ? []
      : [
          { label: "Tidy up", icon: IconLayoutDistributeVertical, act: () => act("tidy", store) },
          { label: "Add note", icon: IconNote, act: () => act("note", store) },
        ]),
    { label: "Find in flow (Ctrl+F)", icon: IconSearch, act: openFind },
    { label: "Keyboard shortcuts", icon: IconKeyboard, act: () => useUi.getState().set({ keys: true }) },
  ];
  return (
    <Panel position="bottom-left">
      <Group gap={4}>
        {buttons.map(({ label, icon: Icon, act: perform }) => (
          <Tooltip key={label} label={label}>
            <ActionIcon variant="default" size="lg" aria-label={label} onClick={perform}>
              <Icon size={18} stroke={1.7} aria-hidden />
            </ActionIcon>
          </Tooltip>
        ))}
      </Group>
    </Panel>
  );
}

const NODE_TYPES: NodeTypes = { flow: CanvasNode, note: NoteNode, frame: FrameNode, folded: FoldedNode };
const EDGE_TYPES: EdgeTypes = { flow: CanvasEdge };
const SNAP: [number, number] = [GRID, GRID];
const PAN_BUTTONS = [0, 1];
const LOWEST_WITH_MAP = 500;
const NARROWEST_WITH_MAP = 460;
const BARE = { hideAttribution: true };

/** Show all nodes, or the first ones if these would be too small to read. */
function showStart(flow: ReactFlowInstance<ShownNode, ShownEdge>): void {
  const canvas = document.querySelector(".react-flow");
  if (canvas === null) return;
  const boxes = flow.getNodes().map(({ position, width, height }) => ({
    ...position,
    width: width ?? NODE.width,
    height: height ?? NODE.height,
  }));
  const view = viewOf(boxes, { width: canvas.clientWidth, height: canvas.clientHeight });
  if (view !== undefined) void flow.setViewport(view);
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
    (event: globalThis.MouseEvent | TouchEvent, { fromNode, fromHandle, toNode, isValid }: FinalConnectionState) => {
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
      const isFrame = target instanceof Element && target.classList.contains("react-flow__nodesselection-rect");
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
        onInit={showStart}
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
