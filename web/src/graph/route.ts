/** The way of an edge on a canvas: a curve, beside nodes that it would run behind, or between rows; pure. */
import { type EdgeProps, getBezierPath, getSmoothStepPath } from "@xyflow/react";
import { around, type Box } from "@/definition/annotations";
import { NODE, type Position } from "@/definition/types";

const BETWEEN_ROWS = { borderRadius: 16, offset: 24 };

/** A level part of an edge, above or below nodes. */
export interface Lane {
  from: number;
  to: number;
  y: number;
}

type Ends = Pick<EdgeProps, "sourceX" | "sourceY" | "targetX" | "targetY" | "sourcePosition" | "targetPosition">;

/** Return the path of an edge, and the place of its label. */
export function pathOf(ends: Ends, lane: Lane | undefined): [path: string, labelX: number, labelY: number] {
  const { sourceX, sourceY, targetX, targetY } = ends;
  const isBack = targetX < sourceX && Math.abs(targetY - sourceY) > NODE.height;
  const [path, x, y] = isBack ? getSmoothStepPath({ ...ends, ...BETWEEN_ROWS }) : getBezierPath(ends);
  if (lane === undefined) return [path, x, y];
  const curve = (fromX: number, fromY: number, toX: number, toY: number) => {
    const middle = (fromX + toX) / 2;
    return `C${middle},${fromY} ${middle},${toY} ${toX},${toY}`;
  };
  const [into, out] = [curve(sourceX, sourceY, lane.from, lane.y), curve(lane.to, lane.y, targetX, targetY)];
  return [`M${sourceX},${sourceY} ${into} L${lane.to},${lane.y} ${out}`, (lane.from + lane.to) / 2, lane.y];
}

const MARGIN = 20;
const SAMPLES = Array.from({ length: 25 }, (_, at) => at / 24);

/** Return true if the curve between two points touches a box. */
function touches(start: Position, end: Position, box: Box): boolean {
  return SAMPLES.some((u) => {
    const x = start.x + (end.x - start.x) * (1.5 * u * (1 - u) + u ** 3);
    const y = start.y + (end.y - start.y) * (3 * u ** 2 - 2 * u ** 3);
    return x > box.x && x < box.x + box.width && y > box.y - 4 && y < box.y + box.height + 4;
  });
}

/** Return the nearest level above or below these boxes at which no other box is in the way. */
function freeLevel(blocking: readonly Box[], others: readonly Box[], side: -1 | 1): number {
  const { y, height } = around(blocking) as Box;
  let level = side < 0 ? y - MARGIN : y + height + MARGIN;
  const onLevel = (box: Box) => level > box.y - MARGIN / 2 && level < box.y + box.height + MARGIN / 2;
  for (let box = others.find(onLevel); box !== undefined; box = others.find(onLevel))
    level = side < 0 ? box.y - MARGIN : box.y + box.height + MARGIN;
  return level;
}

/**
 * Return the lane of an edge beside the nodes that it would run behind; undefined if it meets none of the boxes. Below
 * them if it starts at a lower output (`isLow`), so that it crosses no edge of the outputs above, unless that is far.
 */
export function laneOf(start: Position, end: Position, boxes: readonly Box[], isLow = false): Lane | undefined {
  if (end.x - start.x < NODE.width) return undefined;
  const between = boxes.filter((box) => box.x > start.x && box.x + box.width < end.x);
  const blocking = between.filter((box) => touches(start, end, box));
  const area = around(blocking);
  if (area === undefined) return undefined;
  const [from, to] = [area.x - MARGIN, area.x + area.width + MARGIN];
  const beside = between.filter((box) => box.x < to && box.x + box.width > from);
  const middle = (start.y + end.y) / 2;
  const levels = [freeLevel(blocking, beside, -1), freeLevel(blocking, beside, 1)] as const;
  const isUp = Math.abs(levels[0] - middle) + (isLow ? 2 * NODE.height : 0) < Math.abs(levels[1] - middle);
  const y = levels[isUp ? 0 : 1];
  return { from, to, y };
}
