import { describe, expect, it } from "vitest";
import { nudged, READABLE } from "@/graph/view";
import { lowestZoom, refitted, uncovered } from "./refit";

const at = (x: number, y = 300) => ({ x, y, width: 200, height: 64 });
const view = { x: 0, y: 0, zoom: 1 };
const wide = { width: 1200, height: 700 };
const narrow = { width: 500, height: 700 };
const row = [at(50), at(350), at(650), at(950)];

/** Return the left and right edge of a node on the screen. */
function span(node: { x: number; width: number }, { x, zoom }: { x: number; zoom: number }) {
  return [node.x * zoom + x, (node.x + node.width) * zoom + x] as const;
}

describe("the view after the canvas became smaller", () => {
  it("stays if all visible nodes remain visible", () => {
    expect(refitted(view, wide, narrow, [at(50), at(250)], [])).toBeUndefined();
    expect(refitted(view, wide, { width: 1200, height: 400 }, row, [])).toBeUndefined();
  });

  it("shows all formerly visible nodes if they remain readable", () => {
    const two = [at(50), at(350)];
    const found = refitted(view, wide, narrow, two, []);
    expect(found?.zoom).toBeGreaterThan(READABLE);
    for (const node of two) {
      const [left, right] = span(node, found ?? view);
      expect(left).toBeGreaterThan(0);
      expect(right).toBeLessThan(500);
    }
  });

  it("shows the selected node if all would be too small, beside as many others as possible", () => {
    const found = refitted(view, wide, { width: 300, height: 700 }, row, [at(950)]);
    expect(found?.zoom).toBe(READABLE);
    expect(span(at(950), found ?? view)[1]).toBeCloseTo(280);
  });

  it("else starts with the first node", () => {
    const found = refitted(view, wide, { width: 300, height: 700 }, row, []);
    expect(span(at(50), found ?? view)[0]).toBeCloseTo(40);
  });

  it("ignores nodes that were not completely visible", () => {
    expect(refitted(view, wide, narrow, [at(50), at(1300), at(1050)], [])).toBeUndefined();
  });
});

describe("the target node", () => {
  const corner = { width: 175, height: 125 };
  it("is moved into view by the shortest way", () => {
    expect(nudged(at(50), view, wide, corner)).toBeUndefined();
    expect(nudged(at(1100), view, wide, corner)).toMatchObject({ x: -120, y: 0 });
    expect(nudged({ ...at(50), y: -30 }, view, wide, corner)).toMatchObject({ x: 0, y: 50 });
  });

  it("is not covered by the map", () => {
    expect(nudged(at(900, 600), view, wide, corner)).toMatchObject({ x: 0, y: -89 });
    expect(nudged(at(500, 600), view, wide, corner)).toBeUndefined();
  });
});

describe("the view if the map would cover nodes after the canvas became lower", () => {
  const corner = { width: 175, height: 125 };
  const before = { view, size: wide };
  const low = { view, size: { width: 1200, height: 450 } };

  it("moves up just enough to uncover them", () => {
    // The last node of the row ends at 364; the map starts at 450 - 125.
    expect(uncovered(before, low, row, corner)).toEqual({ x: 0, y: -39, zoom: 1 });
  });

  it("stays if none is covered, or if they were covered before", () => {
    expect(uncovered(before, low, row.slice(0, 3), corner)).toBeUndefined();
    expect(uncovered(before, low, row, { width: 0, height: 0 })).toBeUndefined();
    expect(uncovered(low, low, row, corner)).toBeUndefined();
  });

  it("keeps nodes visible at the top", () => {
    expect(uncovered(before, low, [at(50, 80), ...row], corner)).toEqual({ x: 0, y: -10, zoom: 1 });
    expect(uncovered(before, low, [at(50, 10), ...row], corner)).toBeUndefined();
  });
});

describe("the minimum zoom", () => {
  it("fits a hundred nodes in a line", () => {
    const line = Array.from({ length: 100 }, (_, place) => at(280 * place));
    expect(lowestZoom(line, wide) * (99 * 280 + 200)).toBeLessThan(1200);
  });

  it("is unchanged for a flow that fits", () => {
    expect(lowestZoom(row, wide)).toBe(0.05);
    expect(lowestZoom([], wide)).toBe(0.05);
    expect(lowestZoom(row, { width: 0, height: 0 })).toBe(0.05);
  });
});
