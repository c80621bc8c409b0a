import { describe, expect, it } from "vitest";
import { flowOf, nameOfFile, readImport } from "./importing";

const DEFINITION = { nodes: [{ id: "a", type: "manual" }], edges: [] };

describe("what somebody wants to import", () => {
  it("may be a flow as it was exported, with its name", () => {
    const text = JSON.stringify({ name: " Orders ", definition: DEFINITION });
    expect(readImport(text)).toEqual({ kind: "flow", name: "Orders", definition: DEFINITION });
  });

  it("may be a flow as the API gives it, or a definition alone", () => {
    const given = JSON.stringify({ id: "wf_1", name: "Orders", definition_json: JSON.stringify(DEFINITION) });
    expect(readImport(given)).toEqual({ kind: "flow", name: "Orders", definition: DEFINITION });
    expect(readImport(JSON.stringify(DEFINITION))).toMatchObject({ kind: "flow", name: undefined });
  });

  it("may be a cURL command, with its prompt and its path too", () => {
    for (const command of ["curl https://a.example", "$ curl -X POST https://a.example", "/usr/bin/curl x"]) {
      expect(readImport(`  ${command}\n`)).toEqual({ kind: "curl", command });
    }
  });

  it("is told to be n8n's where it has connections", () => {
    expect(readImport(JSON.stringify({ nodes: [], connections: {} }))).toEqual({ kind: "n8n" });
  });

  it("is refused with what is wrong with it", () => {
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

  it("is nothing yet where there are only spaces", () => {
    expect(readImport(" \n")).toEqual({ kind: "nothing" });
  });
});

describe("a flow out of a request", () => {
  it("begins with the trigger, whatever the node is called", () => {
    const flow = flowOf("manual", { id: "start", type: "http" });
    expect(flow.nodes.map((node) => node.id)).toEqual(["begin", "start"]);
    expect(flow.edges).toEqual([{ from: "begin", to: "start" }]);
  });
});

describe("the name of a file", () => {
  it("loses its ending", () => {
    expect(nameOfFile("daily.report.json")).toBe("daily.report");
    expect(nameOfFile(".json")).toBe("Imported flow");
  });
});
