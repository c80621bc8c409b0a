import { BaseEdge, type EdgeProps, getBezierPath, getSmoothStepPath } from "@xyflow/react";
import { type MouseEvent, memo } from "react";
import { BETWEEN_ROWS, isBackwards } from "@/graph/backwards";
import { edgeLabel } from "@/runs/edgeLabel";
import { edge as edgeOf } from "../changes";
import { useEditor } from "../context";
import { useUi } from "../ui";
import classes from "./canvas.module.css";
import type { CanvasEdge as Shown } from "./nodes";

/** A shorter edge shows its branch's name only beside the handle. */
const LONG = 260;

export const CanvasEdge = memo(function CanvasEdge(props: EdgeProps<Shown>) {
  const { source, target, sourceX, sourceY, targetX, targetY, data, markerEnd } = props;
  const readOnly = useEditor((state) => state.readOnly);
  // To the next row the edge goes through the space between the rows.
  const isBack = isBackwards({ x: sourceX, y: sourceY }, { x: targetX, y: targetY });
  const [path, labelX, labelY] = isBack
    ? getSmoothStepPath({ ...props, ...BETWEEN_ROWS })
    : getBezierPath(props);
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
      <BaseEdge path={path} markerEnd={markerEnd} interactionWidth={24} />
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
