import { expect, it } from "vitest";
import { edgeLabel } from "./edgeLabel";

it("names the branch and the number of items of an edge", () => {
  expect(edgeLabel({}, 1234)).toBe("1,234 items");
  expect(edgeLabel({ branch: "true" }, 1)).toBe("true, 1 item");
  expect(edgeLabel({ branch: "true" }, undefined)).toBe("true");
  expect(edgeLabel({}, undefined)).toBeUndefined();
});
