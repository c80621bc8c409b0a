import { describe, expect, it } from "vitest";
import { columnsOf, layOut } from "./layout";
import { NODE } from "./types";

function flow(ids: string, edges: string) {
  return {
    nodes: [...ids].map((id) => ({ id, type: "x" })),
    edges: edges.split(" ").map((edge) => {
      const branch = edge.slice(2) || undefined;
      return { from: edge.charAt(0), to: edge.charAt(1), ...(branch === undefined ? {} : { branch }) };
    }),
  };
}

describe("the columns of a flow", () => {
  it("have each node to the right of its predecessors", () => {
    expect(columnsOf(flow("abcd", "ab bc ac cd"))).toEqual([["a"], ["b"], ["c"], ["d"]]);
    expect(columnsOf(flow("abcd", "ab ac ad"))).toEqual([["a"], ["b", "c", "d"]]);
  });

  it("have a second start beside the node that it leads to", () => {
    expect(columnsOf(flow("abcz", "ab bc zc"))).toEqual([["a"], ["b", "z"], ["c"]]);
  });

  it("contain the nodes of a cycle, and ignore dangling edges", () => {
    expect(columnsOf(flow("ab", "ab ba az za")).flat()).toEqual(["a", "b"]);
  });
});

describe("the layout", () => {
  const places = (edges: string) => layOut(flow("abc", edges), () => NODE);

  it("has what follows after an error below, as the output for errors is the lowest one", () => {
    for (const edges of ["aberror ac", "aberror acfalse"]) {
      const at = places(edges);
      expect(at.get("b")?.y).toBeGreaterThan(at.get("c")?.y ?? Infinity);
    }
  });

  it("leaves more space before a node for the name of a branch", () => {
    const gap = (edges: string) => (places(edges).get("b")?.x ?? 0) - (places(edges).get("a")?.x ?? 0) - NODE.width;
    expect(gap("ab")).toBe(60);
    expect(gap("abfalse")).toBe(100);
  });
});
