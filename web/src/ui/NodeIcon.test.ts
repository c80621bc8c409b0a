import { expect, it } from "vitest";
import { inkOn } from "./NodeIcon";

it("writes in the ink with more contrast", () => {
  expect(inkOn("#6b2a6b")).toBe("#fff");
  expect(inkOn("#1a5fb4")).toBe("#fff");
  expect(inkOn("#ffd54a")).toBe("#14171a");
  expect(inkOn("not a color")).toBe("#fff");
});
