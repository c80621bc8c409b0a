import { describe, expect, it } from "vitest";
import type { Catalogue } from "@/api/catalogue";
import type { Definition } from "@/definition/types";
import { namesIn } from "@/graph/nameOf";
import { edgeMaker, nodeMaker } from "./nodes";

const TYPE = { type: "http", name: "HTTP request", category: "integration", trigger: false, branches: [] };
const CATALOGUE = { find: (type: string) => (type === "http" ? TYPE : undefined) } as unknown as Catalogue;
const DEFINITION: Definition = {
  nodes: [
    { id: "http", type: "http" },
    { id: "crm", type: "http", name: "Into the CRM" },
    { id: "odd", type: "gone" },
  ],
  edges: [
    { from: "http", to: "crm" },
    { from: "crm", to: "odd", branch: "error" },
  ],
};

describe("labels of the canvas for screen readers", () => {
  it("use the names on the nodes' cards", () => {
    const view = {
      definition: DEFINITION,
      shown: DEFINITION.nodes,
      catalogue: CATALOGUE,
      check: null,
      selected: [],
      moving: null,
    };
    expect(nodeMaker()(view).map((node) => node.ariaLabel)).toEqual([
      "HTTP request",
      "Into the CRM, HTTP request",
      "odd, unknown type gone",
    ]);
  });

  it("use them for edges too, and rebuild only edges whose ends were renamed", () => {
    const make = edgeMaker();
    const edges = (definition: Definition) => {
      const names = namesIn(definition, CATALOGUE);
      const shown = definition.edges.map((edge) => ({ edge, source: edge.from, target: edge.to }));
      return make(shown, [], new Set(), (id) => names.get(id) ?? id);
    };
    const before = edges(DEFINITION);
    expect(before.map((edge) => edge.ariaLabel)).toEqual([
      "Between HTTP request and Into the CRM",
      "Between Into the CRM and odd, error",
    ]);
    const [first, ...rest] = DEFINITION.nodes;
    const after = edges({
      ...DEFINITION,
      nodes: [{ ...first, id: "http", type: "http", name: "Ask" }, ...rest],
    });
    expect(after[0]?.ariaLabel).toBe("Between Ask and Into the CRM");
    expect(after[1]).toBe(before[1]);
  });
});
