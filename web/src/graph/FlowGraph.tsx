/** A read-only graph: of a run, a template, a version. The editor has its own canvas. */
import {
  Background,
  BaseEdge,
  Controls,
  type Edge,
  type EdgeProps,
  type EdgeTypes,
  Handle,
  type Node,
  type NodeProps,
  type NodeTypes,
  Position,
  ReactFlow,
  useReactFlow,
  useStore,
  useStoreApi,
} from "@xyflow/react";
import { memo, useEffect, useMemo, useRef } from "react";
import { type Box, boxesOf, boxOfNote, frameAround, groupKey, noteKey } from "@/definition/annotations";
import { type Definition, type FlowGroup, type FlowNode, type FlowNote, NODE } from "@/definition/types";
import { nameOf } from "./nameOf";
import { GroupFrame, NoteCard, nameOfGroup } from "./notes/NoteCard";
import "@xyflow/react/dist/style.css";
import { useMantineColorScheme } from "@mantine/core";
import { type NodeType, useCatalogue } from "@/api/catalogue";
import { positioned } from "@/definition/tidy";
import classes from "./graph.module.css";
import { type Mark, NodeCard } from "./NodeCard";
import { type Lane, laneOf, pathOf } from "./route";
import { nudged, viewOf } from "./view";

// Notes and frames of groups in a read-only graph. Groups are never folded there: a run has steps of every node.

type ShownNote = Node<{ note: FlowNote }, "note">;
type ShownFrame = Node<{ group: FlowGroup }, "frame">;
type ShownAnnotation = ShownNote | ShownFrame;

const Note = memo(function Note({ data }: NodeProps<ShownNote>) {
  return <NoteCard note={data.note} />;
});

const Frame = memo(function Frame({ data }: NodeProps<ShownFrame>) {
  return <GroupFrame group={data.group} />;
});

const FRAME_TYPES: NodeTypes = { note: Note, frame: Frame };

/** Neither selected nor reached by the pointer. */
const STILL = { selectable: false, focusable: false, draggable: false, connectable: false } as const;
const FRAME_STYLE = { pointerEvents: "none" } as const;

function at({ x, y, width, height }: Box) {
  const size = { width, height };
  return { position: { x, y }, ...size, measured: size };
}

function annotationsOf(definition: Definition): ShownAnnotation[] {
  const frames = (definition.groups ?? []).flatMap((group): ShownFrame[] => {
    const frame = frameAround(boxesOf(definition, group));
    if (frame === undefined) return [];
    const common = { ...STILL, zIndex: -3, style: FRAME_STYLE, ariaLabel: `Group ${nameOfGroup(group)}` };
    return [{ id: groupKey(group.id), type: "frame", data: { group }, ...common, ...at(frame) }];
  });
  const notes = (definition.notes ?? []).map((note): ShownNote => {
    const common = { ...STILL, zIndex: -1, ariaLabel: "Note" };
    return { id: noteKey(note.id), type: "note", data: { note }, ...common, ...at(boxOfNote(note)) };
  });
  return [...frames, ...notes];
}

/** At first show all nodes, or as many as are readable, with the selected one; later move to what is selected. */
function Follow({ id }: { id: string | null }) {
  const flow = useReactFlow();
  const store = useStoreApi();
  const isReady = useStore((state) => state.width > 0 && state.nodeLookup.size > 0);
  const isFirst = useRef(true);

  useEffect(() => {
    if (!isReady) return;
    const boxes = flow.getNodes().map(({ position }) => ({ ...position, ...NODE }));
    const chosen = id === null ? undefined : flow.getNode(id)?.position;
    const box = chosen && { ...chosen, ...NODE };
    const first = isFirst.current;
    isFirst.current = false;
    const view = first
      ? viewOf(boxes, store.getState(), 1, box)
      : box && nudged(box, flow.getViewport(), store.getState());
    if (view !== undefined) void flow.setViewport(view, { duration: first ? 0 : 200 });
  }, [flow, store, id, isReady]);
  return null;
}

type Shown = Node<{ node: FlowNode; type: NodeType | undefined; mark: Mark | undefined }, "shown">;

const ShownNode = memo(function ShownNode({ data, selected }: NodeProps<Shown>) {
  return (
    <NodeCard node={data.node} type={data.type} mark={data.mark} selected={selected}>
      <Handle
        type="target"
        position={Position.Left}
        className={classes.handle}
        isConnectable={false}
        // A trigger has no input, but React Flow needs the handle.
        style={data.type?.trigger ? { visibility: "hidden" } : undefined}
      />
      <Handle type="source" position={Position.Right} className={classes.handle} isConnectable={false} />
    </NodeCard>
  );
});

type ShownAny = Shown | ShownAnnotation;

const TYPES: NodeTypes = { shown: ShownNode, ...FRAME_TYPES };

interface FlowGraphProps {
  definition: Definition;
  marks?: ReadonlyMap<string, Mark>;
  /** Return true if an edge was taken, by source, target and branch. */
  isLive?: (edge: Definition["edges"][number]) => boolean;
  /** Return the label of an edge; by default its branch. */
  labelOf?: (edge: Definition["edges"][number]) => string | undefined;
  selected?: string | null;
  onSelect?: (nodeId: string | null) => void;
  label: string;
  controls?: boolean;
  /** The change of an edge in a comparison. */
  changeOf?: (edge: Definition["edges"][number]) => "added" | "removed" | undefined;
}

const LARGE = 100;

/** Sizes are known in advance, so that nodes out of view need not be rendered to be measured. */
const HANDLES: Shown["handles"] = [
  { type: "target", position: Position.Left, x: -6, y: NODE.height / 2 - 6, width: 12, height: 12 },
  {
    type: "source",
    position: Position.Right,
    x: NODE.width - 6,
    y: NODE.height / 2 - 6,
    width: 12,
    height: 12,
  },
];

type ShownEdge = Edge<{ lane: Lane | undefined }, "routed">;

const RoutedEdge = memo(function RoutedEdge(props: EdgeProps<ShownEdge>) {
  const [path, labelX, labelY] = pathOf(props, props.data?.lane);
  return <BaseEdge path={path} label={props.label} labelX={labelX} labelY={labelY} />;
});

const EDGE_TYPES: EdgeTypes = { routed: RoutedEdge };

/** Return a function that returns the lane of an edge past the nodes. */
function laneFinder({ nodes }: Definition): (edge: Definition["edges"][number]) => Lane | undefined {
  const boxes = new Map(nodes.map(({ id, position }) => [id, { x: 0, y: 0, ...position, ...NODE }]));
  const all = [...boxes.values()];
  return ({ from, to }) => {
    const [start, end] = [boxes.get(from), boxes.get(to)];
    if (start === undefined || end === undefined) return undefined;
    return laneOf(
      { x: start.x + NODE.width, y: start.y + NODE.height / 2 },
      { x: end.x, y: end.y + NODE.height / 2 },
      all,
    );
  };
}

export default function FlowGraph(props: FlowGraphProps) {
  const { definition, marks, isLive, changeOf, labelOf, selected = null, onSelect, label } = props;
  const { controls = true } = props;
  const { catalogue } = useCatalogue();
  const { colorScheme } = useMantineColorScheme();
  const placed = useMemo(() => positioned(definition), [definition]);
  const isLarge = definition.nodes.length > LARGE;

  const annotations = useMemo(() => annotationsOf(placed), [placed]);
  const flowNodes = useMemo<Shown[]>(
    () =>
      placed.nodes.map((node) => ({
        id: node.id,
        type: "shown",
        position: node.position ?? { x: 0, y: 0 },
        ...NODE,
        handles: HANDLES,
        selected: node.id === selected,
        ariaLabel: `${nameOf(node, catalogue?.find(node.type))}${marks?.get(node.id)?.outcome ? `, ${marks.get(node.id)?.outcome}` : ""}`,
        data: { node, type: catalogue?.find(node.type), mark: marks?.get(node.id) },
      })),
    [placed, catalogue, marks, selected],
  );
  const nodes = useMemo<ShownAny[]>(() => [...annotations, ...flowNodes], [annotations, flowNodes]);
  const laneFor = useMemo(() => laneFinder(placed), [placed]);
  const edges = useMemo<ShownEdge[]>(
    () =>
      placed.edges.map((edge) => ({
        id: `${edge.from} ${edge.branch ?? ""} ${edge.to}`,
        source: edge.from,
        target: edge.to,
        label: labelOf === undefined ? edge.branch : labelOf(edge),
        className: changeOf?.(edge) ?? (isLive?.(edge) ? "live" : undefined),
        focusable: false,
        type: "routed" as const,
        data: { lane: laneFor(edge) },
      })),
    [placed, laneFor, isLive, changeOf, labelOf],
  );

  return (
    <ReactFlow<ShownAny, ShownEdge>
      className={classes.canvas}
      aria-label={label}
      nodes={nodes}
      edges={edges}
      nodeTypes={TYPES}
      edgeTypes={EDGE_TYPES}
      colorMode={colorScheme === "auto" ? "system" : colorScheme}
      nodesDraggable={false}
      nodesConnectable={false}
      elementsSelectable={onSelect !== undefined}
      nodesFocusable={onSelect !== undefined}
      edgesFocusable={false}
      // React to the user's selection by mouse or keys only: `selected` also causes events, which would loop.
      onNodesChange={(changes) => {
        const chosen = changes.find((change) => change.type === "select" && change.selected);
        if (chosen?.type === "select") onSelect?.(chosen.id);
      }}
      onPaneClick={() => onSelect?.(null)}
      onlyRenderVisibleElements={isLarge}
      fitView={onSelect === undefined}
      fitViewOptions={{ maxZoom: 1, padding: "28px" }}
      minZoom={0.05}
      maxZoom={2}
      preventScrolling={controls}
      proOptions={{ hideAttribution: true }}
    >
      <Background gap={20} />
      {onSelect !== undefined && <Follow id={selected} />}
      {controls && <Controls showInteractive={false} />}
    </ReactFlow>
  );
}
