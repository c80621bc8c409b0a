import { Position } from "@xyflow/react";
import { expect, it } from "vitest";
import { NODE } from "@/definition/types";
import { laneOf, pathOf } from "./route";

const at = (column: number, y = 0) => ({ x: 280 * column, y, ...NODE });
const start = { x: 220, y: 32 };
const end = { x: 840, y: 32 };

it("leads an edge past the node between its ends", () => {
  const lane = laneOf(start, end, [at(0), at(1), at(2), at(3)]);
  expect(lane).toEqual({ from: 260, to: 800, y: 84 });
  const ends = { sourceX: 220, sourceY: 32, targetX: 840, targetY: 32 };
  const [path, , y] = pathOf({ ...ends, sourcePosition: Position.Right, targetPosition: Position.Left }, lane);
  expect(path).toContain("L800,84");
  expect(y).toBe(84);
});

it("leads it on the side that is nearer, and past other nodes there", () => {
  expect(laneOf({ x: 220, y: 20 }, { x: 840, y: 20 }, [at(1), at(2)])?.y).toBe(-20);
  expect(laneOf({ x: 220, y: 20 }, { x: 840, y: 20 }, [at(1), at(2), at(1, -80)])?.y).toBe(84);
  // From a lower output below, unless that is far.
  expect(laneOf({ x: 220, y: 20 }, { x: 840, y: 20 }, [at(1), at(2)], true)?.y).toBe(84);
});

it("leaves other edges as they are", () => {
  expect(laneOf(start, { x: 280, y: 32 }, [at(0), at(1)])).toBeUndefined();
  expect(laneOf(start, end, [at(0), at(1, 100), at(2, -100), at(3)])).toBeUndefined();
  expect(laneOf(end, start, [at(1), at(2)])).toBeUndefined();
});
