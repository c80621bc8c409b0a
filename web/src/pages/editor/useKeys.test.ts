// @vitest-environment jsdom
import { describe, expect, it } from "vitest";
import type { Definition } from "@/definition/types";
import { copied, pastedOf, wholeOf } from "./useKeys";

const definition: Definition = {
  nodes: [
    { id: "a", type: "manual", position: { x: 0, y: 0 } },
    { id: "b", type: "log", position: { x: 300, y: 0 } },
  ],
  edges: [{ from: "a", to: "b" }],
};

describe("the clipboard", () => {
  it("contains nodes and the edges between them", () => {
    const text = copied(definition, ["b"]);
    expect(JSON.parse(text)).toEqual({ headrace: "nodes", nodes: [definition.nodes[1]], edges: [] });
    expect(pastedOf(copied(definition, ["a", "b"]))).toEqual({ kind: "nodes", definition });
  });

  it("accepts a definition, also with short edges, and an exported flow", async () => {
    const short = {
      nodes: definition.nodes,
      edges: [
        ["a", "b"],
        ["b", "gone"],
      ],
    };
    const pasted = pastedOf(JSON.stringify(short));
    expect(pasted.kind === "nodes" && (await wholeOf(pasted.definition))).toEqual(definition);
    expect(pastedOf(JSON.stringify({ name: "Orders", definition })).kind).toBe("nodes");
  });

  it("lays out nodes without a position", async () => {
    const nodes = ["a", "b", "c"].map((id) => ({ id, type: "log" }));
    const edges = [
      { from: "a", to: "b" },
      { from: "a", to: "c" },
    ];
    const [a, b, c] = (await wholeOf({ nodes, edges })).nodes.map((node) => node.position);
    expect(b?.x).toBeGreaterThan(a?.x ?? Infinity);
    expect(c?.x).toBe(b?.x);
  });

  it("recognizes a cURL command", () => {
    expect(pastedOf("  curl -X POST https://a.example\n")).toEqual({
      kind: "curl",
      command: "curl -X POST https://a.example",
    });
  });

  it.each(["", "hello", "{", "[1]", '{"a": 1}', '{"nodes": 7}', "curly"])("makes nothing of %j", (text) => {
    expect(pastedOf(text)).toEqual({ kind: "nothing" });
  });
});
