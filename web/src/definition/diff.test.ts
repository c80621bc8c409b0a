import { describe, expect, it } from "vitest";
import { diffOf, edgeKey, isSame, merged, summaryOf, textOf } from "./diff";
import type { Definition } from "./types";

const BEFORE: Definition = {
  nodes: [
    { id: "start", type: "manual", position: { x: 0, y: 0 } },
    {
      id: "ask",
      type: "http",
      config: { url: "https://a.example", headers: { a: 1, b: 2 } },
      position: { x: 300, y: 0 },
    },
    { id: "tell", type: "log", config: { message: "done" }, position: { x: 600, y: 0 } },
  ],
  edges: [
    { from: "start", to: "ask" },
    { from: "ask", to: "tell" },
  ],
  settings: { timezone: "UTC" },
};
const AFTER: Definition = {
  nodes: [
    { id: "start", type: "manual", position: { x: 0, y: 80 } },
    {
      id: "ask",
      type: "http",
      name: "Ask them",
      config: { url: "https://b.example", headers: { a: 1 } },
      position: { x: 300, y: 0 },
    },
    { id: "keep", type: "store", position: { x: 610, y: 0 } },
  ],
  edges: [
    { from: "start", to: "ask" },
    { from: "ask", to: "keep", branch: "true" },
  ],
  settings: { timezone: "Europe/Berlin" },
};

describe("the difference between two definitions", () => {
  const diff = diffOf(BEFORE, AFTER);

  it("lists added, removed and changed nodes, and separately those that only moved", () => {
    expect(diff.nodes.map((node) => [node.id, node.change])).toEqual([
      ["ask", "changed"],
      ["keep", "added"],
      ["tell", "removed"],
    ]);
    expect(diff.moved).toEqual(["start"]);
  });

  it("lists the changed fields of a node at any depth", () => {
    expect(diff.nodes[0]?.fields).toEqual([
      { path: "config.url", before: "https://a.example", after: "https://b.example" },
      { path: "config.headers.b", before: 2, after: undefined },
      { path: "name", before: undefined, after: "Ask them" },
    ]);
  });

  it("distinguishes edges by branch", () => {
    const branched = {
      ...BEFORE,
      edges: BEFORE.edges.map((edge) => ({ ...edge, branch: "true" })),
    };
    expect([...diffOf(BEFORE, branched).edges.values()].sort()).toEqual(["added", "added", "removed", "removed"]);
  });

  it("ignores the order of keys", () => {
    const one: Definition = {
      nodes: [{ id: "a", type: "set", config: { x: 1, y: { p: 1, q: 2 } } }],
      edges: [],
    };
    const other: Definition = {
      nodes: [{ type: "set", id: "a", config: { y: { q: 2, p: 1 }, x: 1 } }],
      edges: [],
    };
    expect(summaryOf(diffOf(one, other))).toBe("No changes");
  });

  it("has a summary in one line", () => {
    expect(summaryOf(diff)).toBe(
      "1 node added, 1 removed, 1 changed, 1 connection added, 1 connection removed, settings changed",
    );
    const moved = { ...BEFORE, nodes: BEFORE.nodes.map((node) => ({ ...node, position: { x: 9, y: 9 } })) };
    expect(summaryOf(diffOf(BEFORE, moved))).toBe("3 nodes moved");
  });
});

describe("two definitions in one graph", () => {
  it("contains the nodes and edges of both, without duplicates", () => {
    const both = merged(BEFORE, AFTER);
    expect(both.nodes.map((node) => node.id)).toEqual(["start", "ask", "keep", "tell"]);
    expect(new Set(both.edges.map(edgeKey)).size).toBe(3);
    expect(both.edges).toHaveLength(3);
  });

  it("places a removed node below the node at its position", () => {
    const tell = merged(BEFORE, AFTER).nodes.find((node) => node.id === "tell");
    expect(tell?.position?.x).toBe(600);
    expect(tell?.position?.y).toBeGreaterThanOrEqual(64);
  });

  it("lays out all nodes if some have no position", () => {
    const unplaced = { ...AFTER, nodes: [...AFTER.nodes, { id: "new", type: "noop" }] };
    expect(merged(BEFORE, unplaced).nodes.every((node) => node.position === undefined)).toBe(true);
  });
});

describe("a definition as text", () => {
  it("omits positions by default", () => {
    expect(textOf(AFTER)).not.toContain("position");
    expect(textOf(AFTER, true)).toContain('"position"');
  });
});

it("compares values, not the order of keys", () => {
  expect(isSame({ a: [1, { b: null }], c: 2 }, { c: 2, a: [1, { b: null }] })).toBe(true);
  expect(isSame({ a: undefined }, { b: undefined })).toBe(false);
  expect(isSame([], {})).toBe(false);
});
