import { IconCheck } from "@tabler/icons-react";
import { BaseEdge, type EdgeProps, Handle, type NodeProps, Position } from "@xyflow/react";
import { type MouseEvent, memo, useMemo } from "react";
import graph from "@/graph/graph.module.css";
import { type Mark, NodeCard } from "@/graph/NodeCard";
import { nameOf } from "@/graph/nameOf";
import { pathOf } from "@/graph/route";
import { branchesText, type TakenBranch } from "@/runs/states";
import { edgeLabel } from "@/runs/words";
import { placesOf, type Way } from "../branches";
import { edge as edgeOf } from "../changes";
import { useEditor, useEditorStore } from "../context";
import { inWords } from "../problems";
import { RunNodeOnCard } from "../run/RunNodeButton";
import { useUi } from "../ui";
import classes from "./canvas.module.css";
import { handleOf, INTO, type CanvasNode as Shown, type CanvasEdge as ShownEdge } from "./nodes";

/** The outputs of a node are 20 apart: wider zones would overlap, and the pointer would reach a neighbouring edge. */
const WIDE = 14;
/** A shorter edge shows its branch's name only beside the handle. */
const LONG = 260;

export const CanvasEdge = memo(function CanvasEdge(props: EdgeProps<ShownEdge>) {
  const { source, target, sourceX, sourceY, targetX, targetY, data, markerEnd } = props;
  const readOnly = useEditor((state) => state.readOnly);
  const [path, labelX, labelY] = pathOf(props, data?.lane);
  const branch = data?.branch;
  const isLong = Math.hypot(targetX - sourceX, targetY - sourceY) > LONG;
  const label = edgeLabel({ branch: isLong ? branch : undefined }, data?.items);

  function insert(event: MouseEvent) {
    event.stopPropagation();
    const screen = { x: event.clientX, y: event.clientY };
    useUi.getState().set({ quick: { screen, where: { on: data?.edge ?? edgeOf(source, target, branch) } } });
  }

  return (
    <>
      <BaseEdge path={path} markerEnd={markerEnd} interactionWidth={WIDE} />
      {label !== undefined && (
        <text x={labelX} y={labelY - 12} className={classes.label}>
          {label}
        </text>
      )}
      {!readOnly && data?.isFolded !== true && (
        // biome-ignore lint/a11y/useSemanticElements: SVG has no button element; the panel of a node has one
        <g
          role="button"
          aria-label={`Insert a node between ${data?.between}`}
          className={`${classes.between} nodrag nopan`}
          transform={`translate(${labelX} ${labelY})`}
          onClick={insert}
        >
          <circle r="11" />
          <path d="M-4.5 0H4.5M0-4.5V4.5" />
        </g>
      )}
    </>
  );
});

/** A node that can be moved and connected. It re-renders only if something about it changes. */
export const CanvasNode = memo(function CanvasNode({ id, data, selected, height }: NodeProps<Shown>) {
  const { node, type, ways, open, problems } = data;
  const run = useEditor((state) => state.marks.get(id));
  const pinned = useEditor((state) => id in state.pinned);
  const readOnly = useEditor((state) => state.readOnly);
  const problem = problems.map(inWords).join("\n") || undefined;
  const mark = useMemo<Mark>(() => ({ ...run, problem, pinned }), [run, problem, pinned]);
  // Positions in the card are relative to the inside of its border.
  const places = placesOf(ways.length).map((place) => place - 1);
  return (
    <NodeCard node={node} type={type} mark={mark} selected={selected} height={height}>
      {!readOnly && <RunNodeOnCard nodeId={id} name={nameOf(node, type)} />}
      {!type?.trigger && <Handle id={INTO} type="target" position={Position.Left} className={graph.handle} />}
      {ways.map((way, at) => (
        <Handle
          key={handleOf(way)}
          id={handleOf(way)}
          type="source"
          position={Position.Right}
          className={graph.handle}
          style={{ top: places[at] }}
        />
      ))}
      {ways.map((way, at) => (
        <WayOut
          key={handleOf(way)}
          id={id}
          name={nameOf(node, type)}
          way={way}
          nth={at}
          top={places[at] ?? 0}
          open={open.includes(way) && !readOnly}
          taken={run?.branches?.find(({ branch }) => branch === way)}
          narrow={ways.length > 2}
        />
      ))}
    </NodeCard>
  );
});

interface WayOutProps {
  id: string;
  name: string;
  way: Way;
  nth: number;
  top: number;
  open: boolean;
  /** Given if the node's output took it in the run on the canvas. */
  taken: TakenBranch | undefined;
  narrow: boolean;
}

/** A branch's name beside its handle, the number of items that took it and, while it is not connected, a button that adds the next node. */
function WayOut({ id, name, way, nth, top, open, taken, narrow }: WayOutProps) {
  const store = useEditorStore();
  if (way === undefined && !open) return null;
  const isTaken = taken !== undefined && taken.items !== 0;
  return (
    <div
      className={`${classes.way} nodrag nopan`}
      style={{ top }}
      data-error={way === "error" || undefined}
      data-taken={isTaken || undefined}
    >
      {way !== undefined && (
        <span title={way}>
          {taken === undefined ? way : branchesText([taken])}
          {isTaken && <IconCheck size={13} role="img" aria-label="taken" />}
        </span>
      )}
      {open && (
        <button
          type="button"
          tabIndex={-1}
          className={classes.plus}
          style={narrow ? { width: 18, height: 18 } : undefined}
          aria-label={`Add a node after ${name}${way === undefined ? "" : `, ${way}`}`}
          onClick={(event) => {
            event.stopPropagation();
            store.getState().select([id]);
            useUi.getState().set({
              quick: {
                screen: { x: event.clientX, y: event.clientY },
                where: { after: { id, branch: way, nth } },
              },
            });
          }}
        >
          <Plus />
        </button>
      )}
    </div>
  );
}

function Plus() {
  return (
    <svg width="12" height="12" viewBox="-6 -6 12 12" aria-hidden="true">
      <path d="M-4 0H4M0-4V4" stroke="currentColor" strokeWidth="1.8" />
    </svg>
  );
}
