import { describe, expect, it } from "vitest";
import type { Definition } from "@/definition/types";
import { copied, pastedOf } from "./clipboard";

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
    expect(pastedOf(copied(definition, ["a", "b"]))).toEqual({ kind: "nodes", piece: definition });
  });

  it("accepts a definition, also with short edges, and an exported flow", () => {
    const short = {
      nodes: definition.nodes,
      edges: [
        ["a", "b"],
        ["b", "gone"],
      ],
    };
    expect(pastedOf(JSON.stringify(short))).toEqual({ kind: "nodes", piece: definition });
    expect(pastedOf(JSON.stringify({ name: "Orders", definition })).kind).toBe("nodes");
  });

  it("places nodes without a position", () => {
    const bare = { nodes: [{ id: "x", type: "log" }], edges: [] };
    const pasted = pastedOf(JSON.stringify(bare));
    expect(pasted.kind === "nodes" && pasted.piece.nodes[0]?.position).toBeTruthy();
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
