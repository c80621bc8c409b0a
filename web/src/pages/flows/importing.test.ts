import { describe, expect, it } from "vitest";
import { flowOf, nameOfFile, readImport } from "./importing";

const DEFINITION = { nodes: [{ id: "a", type: "manual" }], edges: [] };

describe("text to import", () => {
  it("may be an exported flow, with its name", () => {
    const text = JSON.stringify({ name: " Orders ", definition: DEFINITION });
    expect(readImport(text)).toEqual({ kind: "flow", name: "Orders", definition: DEFINITION });
  });

  it("may be a flow of the API, or a bare definition", () => {
    const given = JSON.stringify({ id: "wf_1", name: "Orders", definition_json: JSON.stringify(DEFINITION) });
    expect(readImport(given)).toEqual({ kind: "flow", name: "Orders", definition: DEFINITION });
    expect(readImport(JSON.stringify(DEFINITION))).toMatchObject({ kind: "flow", name: undefined });
  });

  it("may be a cURL command, also with prompt and path", () => {
    for (const command of ["curl https://a.example", "$ curl -X POST https://a.example", "/usr/bin/curl x"]) {
      expect(readImport(`  ${command}\n`)).toEqual({ kind: "curl", command });
    }
  });

  it("is recognized as an n8n workflow by its connections", () => {
    expect(readImport(JSON.stringify({ nodes: [], connections: {} }))).toEqual({ kind: "n8n" });
  });

  it("is refused with a reason", () => {
    expect(readImport("hello")).toEqual({
      kind: "refused",
      reason: "The text is neither JSON nor a cURL command.",
    });
    expect(readImport("[1]")).toMatchObject({ kind: "refused", reason: "A flow is a JSON object." });
    expect(readImport('{"name": "x"}')).toMatchObject({ kind: "refused" });
    expect(readImport('{"nodes": [{"id": 1}]}')).toMatchObject({
      kind: "refused",
      reason: expect.stringContaining("nodes[0]"),
    });
  });

  it("is empty if there are only spaces", () => {
    expect(readImport(" \n")).toEqual({ kind: "nothing" });
  });
});

describe("a flow made from a request", () => {
  it("starts with the trigger, whatever the id of the node", () => {
    const flow = flowOf("manual", { id: "start", type: "http" });
    expect(flow.nodes.map((node) => node.id)).toEqual(["begin", "start"]);
    expect(flow.edges).toEqual([{ from: "begin", to: "start" }]);
  });
});

describe("the name from a file", () => {
  it("has no extension", () => {
    expect(nameOfFile("daily.report.json")).toBe("daily.report");
    expect(nameOfFile(".json")).toBe("Imported flow");
  });
});
