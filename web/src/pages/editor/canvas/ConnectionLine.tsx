import { type ConnectionLineComponentProps, getBezierPath } from "@xyflow/react";
import { useEditorStore } from "../context";
import type { AnyNode } from "./annotationNodes";
import classes from "./canvas.module.css";
import { refusalOfConnection } from "./connecting";

/** The line while the user draws it, with the reason if it cannot end there. */
export function ConnectionLine(props: ConnectionLineComponentProps<AnyNode>) {
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
