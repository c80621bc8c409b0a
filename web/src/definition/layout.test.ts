import { describe, expect, it } from "vitest";
import { layered } from "./layout";

const SIZE = { width: 100, height: 50 };

function flow(ids: string, edges: string) {
  return {
    nodes: [...ids].map((id) => ({ id, type: "x" })),
    edges: edges.split(" ").map((edge) => ({ from: edge.charAt(0), to: edge.charAt(1) })),
  };
}

describe("layered", () => {
  it("places each node to the right of its predecessors", () => {
    const at = layered(flow("abcd", "ab bc ac cd"), SIZE);
    expect([..."abcd"].map((id) => at.get(id)?.x)).toEqual([0, 180, 360, 540]);
  });

  it("avoids overlaps within a column", () => {
    const at = layered(flow("abcd", "ab ac ad"), SIZE);
    expect([..."bcd"].map((id) => at.get(id)?.y)).toEqual([0, 90, 180]);
  });

  it("keeps parallel chains in their rows", () => {
    const at = layered(flow("abcdef", "ab ac bd ce df"), SIZE);
    expect(at.get("d")?.y).toBe(at.get("b")?.y);
    expect(at.get("e")?.y).toBe(at.get("c")?.y);
  });

  it("places the nodes of a cycle, and ignores dangling edges", () => {
    expect(layered(flow("ab", "ab ba az"), SIZE).size).toBe(2);
  });

  it("lays out a thousand nodes quickly", () => {
    const nodes = Array.from({ length: 1_000 }, (_, at) => ({ id: `n${at}`, type: "x" }));
    const edges = nodes.slice(1).map((node, at) => ({ from: `n${at}`, to: node.id }));
    const began = performance.now();
    layered({ nodes, edges }, SIZE);
    expect(performance.now() - began).toBeLessThan(200);
  });
});
