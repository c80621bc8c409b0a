import { describe, expect, it } from "vitest";
import { labelledPlaces, unbroken, valueTicks } from "./scale";

describe("the axes of a chart", () => {
  it("have round values, also for shares and large numbers", () => {
    expect(valueTicks(4, 4)).toEqual([0, 1, 2, 3, 4]);
    expect(valueTicks(0.108, 4)).toEqual([0, 0.05, 0.1]);
    expect(valueTicks(5_400, 4)).toEqual([0, 2_000, 4_000]);
  });

  it("label as many places as there is space for", () => {
    expect(labelledPlaces(7, 500, 58)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(labelledPlaces(30, 500, 58)).toEqual([0, 4, 8, 12, 16, 20, 24, 28]);
    expect(labelledPlaces(24, 100, 58)).toEqual([0, 14]);
  });

  it("interrupt a line where there is no value", () => {
    expect(unbroken([0.5, null, 0, 1])).toEqual([
      [[0, 0.5]],
      [
        [2, 0],
        [3, 1],
      ],
    ]);
    expect(unbroken([null, null])).toEqual([]);
  });
});
