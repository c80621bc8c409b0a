import { describe, expect, it } from "vitest";
import { around } from "@/definition/annotations";
import { NODE } from "@/definition/types";
import { nudged, onScreen, READABLE, TOP, viewOf } from "./view";

const canvas = { width: 1200, height: 800 };
const row = (length: number, y = 0) => Array.from({ length }, (_, at) => ({ x: 280 * at, y, ...NODE }));

describe("the first view", () => {
  it("shows a small flow as a whole, in the middle", () => {
    const view = viewOf(row(3), canvas);
    expect(view?.zoom).toBe(1);
    const all = onScreen(around(row(3)) as ReturnType<typeof onScreen>, view ?? { x: 0, y: 0, zoom: 1 });
    expect(all.x + all.width / 2).toBeCloseTo(600);
  });

  it("never has text too small to read: of a wide flow it shows the start", () => {
    for (const length of [6, 12, 100]) {
      const view = viewOf(row(length), canvas);
      expect(view?.zoom).toBe(READABLE);
      expect(view?.x).toBe(40);
    }
    expect(viewOf(row(5), canvas)?.zoom).toBeGreaterThan(READABLE);
  });

  it("has no empty space beside a flow that is larger than the canvas", () => {
    const rows = Array.from({ length: 20 }, (_, at) => row(6, at * 120)).flat();
    expect(viewOf(rows, canvas)?.y).toBe(TOP);
  });

  it("includes the chosen node", () => {
    const [last] = row(12).slice(-1);
    const view = viewOf(row(12), canvas, 1, last);
    const { x, width } = onScreen(last as ReturnType<typeof onScreen>, view ?? { x: 0, y: 0, zoom: 1 });
    expect(x + width).toBeLessThanOrEqual(1200);
    expect(view?.zoom).toBe(READABLE);
  });

  it("does not exist without nodes", () => expect(viewOf([], canvas)).toBeUndefined());
});

describe("a node out of view", () => {
  it("is moved into view by the shortest way, the others stay as they are", () => {
    const view = viewOf(row(12), canvas) ?? { x: 0, y: 0, zoom: 1 };
    const [next] = row(12).slice(5, 6);
    const moved = nudged(next as ReturnType<typeof onScreen>, view, canvas);
    expect(moved).toMatchObject({ y: view.y, zoom: view.zoom });
    expect((moved?.x ?? 0) - view.x).toBeGreaterThan(-NODE.width);
  });
});
