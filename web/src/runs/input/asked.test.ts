import { describe, expect, it } from "vitest";
import type { Definition, FlowNode } from "@/definition/types";
import { askedOf, faultsInWords, faultsOfForm } from "./asked";

const SCHEMA = { type: "object", properties: { n: { type: "number" }, config: { type: "object" } } };

function flow(...nodes: FlowNode[]): Definition {
  return { nodes, edges: [{ from: "a", to: "end" }] };
}
function start(config: FlowNode["config"], more: Partial<FlowNode> = {}): FlowNode {
  return { id: "a", type: "x", config, ...more };
}

describe("the input that a flow asks for", () => {
  it("comes from its start node", () => {
    const asked = { schema: SCHEMA, description: "Counts." };
    expect(askedOf(flow(start({ input_schema: SCHEMA, description: "Counts." })))).toEqual(asked);
    expect(askedOf(flow(start({}), { ...start({ input_schema: SCHEMA }), id: "end" })).schema).toBeNull();
  });

  it("is none if no form can be made from the schema", () => {
    expect(askedOf(flow(start({})))).toEqual({ schema: null, description: "" });
    for (const odd of [{ type: "array" }, { type: "object" }, "text", null]) {
      expect(askedOf(flow(start({ input_schema: odd, description: "Counts." })))).toEqual({
        schema: null,
        description: "Counts.",
      });
    }
    const { properties } = SCHEMA;
    expect(askedOf(flow(start({ input_schema: { properties } }))).schema).toEqual({ properties });
  });

  it("is none if the node gets no input", () => {
    const asking = start({ input_schema: SCHEMA });
    expect(askedOf(flow({ ...asking, disabled: true })).schema).toBeNull();
    expect(askedOf(flow(asking), { a: { output: 1 } }).schema).toBeNull();
  });
});

describe("the problems of an input", () => {
  const details = [
    { path: "input.n", message: '"x" is not of type "number"' },
    { path: "input", message: '"config" is a required property' },
    { path: "input.config.of[1]", message: '"the \\"b\\" one" is a required property' },
    { path: "input", message: "Additional properties are not allowed" },
    { path: "input.odd", message: "is odd" },
  ];

  it("are assigned to their field, or listed separately", () => {
    const { errors, others } = faultsOfForm(details, SCHEMA);
    expect(errors).toEqual({
      n: { __errors: ['"x" is not of type "number"'] },
      config: {
        __errors: ["This field is required"],
        of: { 1: { 'the \\"b\\" one': { __errors: ["This field is required"] } } },
      },
    });
    expect(others).toEqual(["Additional properties are not allowed", "odd: is odd"]);
  });

  it("are formatted as lines", () => {
    expect(faultsInWords(details.slice(0, 2))).toEqual([
      'n: "x" is not of type "number"',
      "config: This field is required",
    ]);
  });
});
