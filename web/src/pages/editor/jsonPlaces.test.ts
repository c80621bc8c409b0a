import { expect, it } from "vitest";
import { markedIn } from "./jsonPlaces";
import type { Problem } from "./problems";

const TEXT = JSON.stringify(
  {
    nodes: [
      { id: "a", type: "x" },
      { id: "b", type: "http", config: { url: "no", headers: { A: "1" } } },
    ],
    edges: [],
  },
  null,
  2,
);

function at(nodeId: string | null, field: string | null): string {
  const problem: Problem = { level: "error", message: "bad", path: "", nodeId, field };
  const [mark] = markedIn(TEXT, [problem]);
  return TEXT.slice(mark?.from, mark?.to);
}

it("marks the value of a problem", () => {
  expect(at("b", "config.url")).toBe('"no"');
  expect(at("b", "config.headers.A")).toBe('"1"');
});

it("marks the nearest part if the value is missing", () => {
  expect(at("b", "config.method")).toContain('"url"');
  expect(at("a", "config.url")).toContain('"id": "a"');
  expect(at("zz", null)).toBe("{");
});

it("marks nothing in text that is not a definition, without failing", () => {
  expect(markedIn("[1, 2", [])).toEqual([]);
  expect(markedIn('{"nodes": 7', [{ level: "warning", message: "m", path: "", nodeId: "a", field: null }])).toEqual([
    { from: 0, to: 1, severity: "warning", message: "m" },
  ]);
});
