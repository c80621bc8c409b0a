import { describe, expect, it } from "vitest";
import { frameAround, nodesAmong, placeOf } from "./annotations";
import { asDefinition, folded } from "./folding";
import { readDefinition } from "./read";
import type { Definition } from "./types";

const FLOW: Definition = {
  nodes: ["start", "a", "b", "c", "end"].map((id, at) => ({
    id,
    type: "noop",
    position: { x: at * 320, y: at === 2 ? -80 : 0 },
  })),
  edges: [
    { from: "start", to: "a" },
    { from: "start", to: "b" },
    { from: "a", to: "c" },
    { from: "b", to: "c", branch: "true" },
    { from: "c", to: "end" },
  ],
  groups: [{ id: "g", nodes: ["a", "b", "c"] }],
};
const all = () => true;
const none = () => false;

describe("a folded group", () => {
  const view = folded(FLOW, all);

  it("is one card at the place of its nodes", () => {
    expect(view.nodes.map((node) => node.id)).toEqual(["start", "end"]);
    expect(view.cards).toEqual([{ group: FLOW.groups?.[0], position: { x: 320, y: -80 } }]);
    expect(view.hiddenIn.get("b")).toBe("group:g");
  });

  it("has the edges across its frame, each pair of ends once", () => {
    expect(view.edges.map(({ source, target }) => `${source} ${target}`)).toEqual(["start group:g", "group:g end"]);
    expect(view.edges[0]?.edge).toBe(FLOW.edges[0]);
  });

  it("is a node of the graph to walk through", () => {
    expect(asDefinition(view).nodes.map((node) => node.id)).toEqual(["start", "end", "group:g"]);
    expect(asDefinition(view).edges[0]).toEqual({ from: "start", to: "group:g" });
  });

  it("between two folded groups leaves one edge", () => {
    const groups = [
      { id: "one", nodes: ["start", "a"] },
      { id: "two", nodes: ["b", "c", "end"] },
    ];
    const { edges } = folded({ ...FLOW, groups }, all);
    expect(edges.map(({ source, target }) => `${source} ${target}`)).toEqual(["group:one group:two"]);
  });
});

describe("a group that is not folded", () => {
  it("changes neither nodes nor edges", () => {
    const view = folded(FLOW, none);
    expect(view.nodes).toBe(FLOW.nodes);
    expect(view.edges).toHaveLength(FLOW.edges.length);
  });

  it("has a frame around its nodes, with room for its title", () => {
    expect(placeOf(FLOW, "group:g", none)).toEqual({ x: 300, y: -120, width: 900, height: 204 });
    expect(frameAround([])).toBeUndefined();
  });

  it("stands for its nodes", () => {
    expect(nodesAmong(FLOW, ["group:g", "a", "note:n", "end"])).toEqual(["a", "b", "c", "end"]);
  });
});

describe("reading a definition", () => {
  it("keeps notes and groups, and refuses other shapes", () => {
    const notes = [{ id: "n", text: "Why" }];
    expect(readDefinition({ ...FLOW, notes })).toEqual({ ...FLOW, notes });
    expect(readDefinition({ nodes: [], notes: null, groups: null })).toEqual({ nodes: [], edges: [] });
    expect(() => readDefinition({ nodes: [], notes: {} })).toThrow("notes must be a list");
    expect(() => readDefinition({ nodes: [], notes: [3] })).toThrow("notes[0] must have an id");
    expect(() => readDefinition({ nodes: [], groups: [{ id: "g" }] })).toThrow("groups[0] must have an id");
  });
});
