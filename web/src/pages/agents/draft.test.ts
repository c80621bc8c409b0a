import { expect, test } from "vitest";
import { bodyOf, draftOf, NoJson } from "./draft";

test("an empty form creates an agent without tools, with default limits", () => {
  const body = bodyOf({ ...draftOf(null), name: "Money", instructions: "Count." });
  expect(body).toMatchObject({ name: "Money", tools: [], limits: null, model: null, memory: false });
});

test("invalid JSON is reported with the name of its field", () => {
  const broken = { ...draftOf(null), tools: "[http]" };
  expect(() => bodyOf(broken)).toThrow(NoJson);
  expect(() => bodyOf(broken)).toThrow(/^Invalid JSON in Tools/);
});
