import { describe, expect, it } from "vitest";
import { merge, twins } from "./merge";
import type { Definition, FlowNode } from "./types";

const node = (id: string, more: Partial<FlowNode> = {}): FlowNode => ({ id, type: "http", ...more });
const at = (x: number) => ({ position: { x, y: 0 } });
const flow = (nodes: FlowNode[], edges: [string, string][] = [], more: Partial<Definition> = {}): Definition => ({
  nodes,
  edges: edges.map(([from, to]) => ({ from, to })),
  ...more,
});
const ids = ({ nodes }: Definition) => nodes.map((one) => one.id);

describe("merging", () => {
  it("keeps changes of different nodes, and of different settings of one node", () => {
    const base = flow([node("a", { config: { url: "x", headers: { k: 1 } } }), node("b")]);
    const mine = flow([node("a", { config: { url: "mine", headers: { k: 1 } } }), node("b")]);
    const theirs = flow([node("a", { config: { url: "x", headers: { k: 1, more: 2 } } }), node("b", { name: "B" })]);
    const { definition, clashes } = merge(base, mine, theirs);
    expect(clashes).toEqual([]);
    expect(definition.nodes).toEqual([
      node("a", { config: { url: "mine", headers: { k: 1, more: 2 } } }),
      node("b", { name: "B" }),
    ]);
  });

  it("finds a setting that both changed, and takes the preferred side", () => {
    const [base, mine, theirs] = ["x", "mine", "theirs"].map((url) => flow([node("a", { config: { url } })]));
    const sides = [base, mine, theirs] as [Definition, Definition, Definition];
    expect(merge(...sides).clashes).toEqual([
      { path: ["nodes", "a", "config", "url"], mine: "mine", theirs: "theirs" },
    ]);
    expect(merge(...sides).definition).toEqual(mine);
    expect(merge(...sides, "theirs").definition).toEqual(theirs);
    expect(merge(base as Definition, mine as Definition, mine as Definition).clashes).toEqual([]);
  });

  it("adds and removes nodes of both sides, and no connection leads to a removed one", () => {
    const base = flow([node("a"), node("b"), node("c")], [["a", "b"]]);
    const mine = flow(
      [node("a"), node("b"), node("c"), node("m")],
      [
        ["a", "b"],
        ["b", "m"],
      ],
    );
    const theirs = flow([node("a"), node("c"), node("t")], [["a", "t"]]);
    const { definition, clashes } = merge(base, mine, theirs);
    expect([ids(definition).sort(), clashes]).toEqual([["a", "c", "m", "t"], []]);
    expect(definition.edges).toEqual([{ from: "a", to: "t" }]);
  });

  it("asks about a node that one deleted and the other changed, but not if it was only moved", () => {
    const base = flow([node("a"), node("b", at(0))]);
    const mine = flow([node("a")]);
    expect(merge(base, mine, flow([node("a"), node("b", { name: "B" })])).clashes).toHaveLength(1);
    const { definition, clashes } = merge(base, mine, flow([node("a"), node("b", at(40))]));
    expect([ids(definition), clashes]).toEqual([["a"], []]);
  });

  it("does not ask about positions", () => {
    const { definition, clashes } = merge(
      flow([node("a", at(0))]),
      flow([node("a", at(20))]),
      flow([node("a", at(40))]),
    );
    expect([definition.nodes[0]?.position, clashes]).toEqual([{ x: 20, y: 0 }, []]);
  });

  it("keeps notes, groups and settings, and a node stays in one group", () => {
    const base = flow([node("a"), node("b")]);
    const mine = flow([node("a"), node("b")], [], { groups: [{ id: "g", nodes: ["a"] }], settings: { timeout: 5 } });
    const theirs = flow([node("a")], [], { groups: [{ id: "h", nodes: ["a", "b"] }], notes: [{ id: "n", text: "T" }] });
    expect(merge(base, mine, theirs).definition).toEqual({
      ...flow([node("a")]),
      notes: [{ id: "n", text: "T" }],
      groups: [{ id: "h", nodes: ["a"] }],
      settings: { timeout: 5 },
    });
  });

  it("knows different nodes that were added under one id", () => {
    const base = flow([node("a")]);
    const [mine, theirs] = ["M", "T"].map((name) => flow([node("a"), node("b", { name })])) as [Definition, Definition];
    expect([twins(base, mine, theirs), twins(base, mine, mine)]).toEqual([["b"], []]);
  });
});
