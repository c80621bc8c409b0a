import { describe, expect, it } from "vitest";
import { faultsOf, validator } from "../validator";
import { formSchema } from "./formSchema";
import { kindOf } from "./leaf";
import { messagesOf, sortProblems, tokens, withinConfig } from "./problems";
import { asExpression, asPlain, withoutHoles } from "./values";
import { choiceLabel, labelOf } from "./words";

describe("labels", () => {
  it("are read from the key", () => {
    expect(labelOf("fail_on_status")).toBe("Fail on status");
    expect(labelOf("url")).toBe("URL");
    expect(labelOf("memory_mb")).toBe("Memory MB");
    expect(labelOf("workflow_id")).toBe("Workflow ID");
    expect(labelOf("maxItems")).toBe("Max items");
  });

  it("leave choices in capitals and short ones as they are", () => {
    expect(choiceLabel("GET")).toBe("GET");
    expect(choiceLabel("next_link")).toBe("Next link");
    expect(choiceLabel("sha3_256")).toBe("sha3_256");
    expect(choiceLabel(7)).toBe("7");
  });
});

describe("the kind of a field", () => {
  it("follows from its schema", () => {
    expect(kindOf("url", { type: "string" })).toBe("text");
    expect(kindOf("source", { type: "string", "x-language": "python", "x-literal": true })).toBe("code");
    expect(kindOf("page", { type: "string", "x-language": "html" })).toBe("text");
    expect(kindOf("workflow_id", { type: "string", "x-names": "workflow" })).toBe("flow");
    expect(kindOf("credential", { type: "string", "x-credential": ["smtp"] })).toBe("credential");
    expect(kindOf("method", { type: "string", enum: ["GET"] })).toBe("choice");
    expect(kindOf("version", { type: "integer", enum: [4, 7] })).toBe("choice");
    expect(kindOf("methods", { type: "array", items: { type: "string", enum: ["GET"] } })).toBe("choices");
    expect(kindOf("by", { type: ["array", "string"], items: { type: "string" } })).toBe("list");
    expect(kindOf("values", { type: "object", additionalProperties: {} })).toBe("map");
    expect(kindOf("schema", { type: "object", additionalProperties: {}, "x-literal": true })).toBe("json");
    expect(kindOf("shape", { type: "object", "x-holds": "json-schema", "x-literal": true })).toBe("schema");
    expect(kindOf("day", { type: "string", format: "date" }, true)).toBe("date");
    expect(kindOf("begin", { type: "string", format: "date-time", "x-literal": true })).toBe("datetime");
    expect(kindOf("day", { type: "string", format: "date" })).toBe("text");
    expect(kindOf("body", { description: "anything" })).toBe("any");
    expect(kindOf("input_timezone", { type: "string" })).toBe("timezone");
    expect(kindOf("every", { type: ["number", "null"] })).toBe("number");
  });

  it("is none of ours for what is made of other fields", () => {
    expect(
      kindOf("pagination", { type: "object", properties: { type: { type: "string" } } }),
    ).toBeUndefined();
    expect(kindOf("rules", { type: "array", items: { type: "object", properties: {} } })).toBeUndefined();
    expect(kindOf("auth", { oneOf: [{ type: "string" }] })).toBeUndefined();
  });
});

describe("formSchema", () => {
  const converted = formSchema({
    type: "object",
    required: ["url"],
    properties: {
      url: { type: "string", description: "Where" },
      timeout: { type: "number", default: 30, "x-literal": true },
      pages: {
        type: "object",
        "x-literal": true,
        properties: { type: { type: "string", enum: ["a"] }, most: { type: "integer", default: 100 } },
      },
    },
  });

  it("makes single values opaque, so that no default is ever filled in", () => {
    expect(converted.schema.properties?.timeout).toEqual({ title: "Timeout" });
    expect(JSON.stringify(converted.schema)).not.toContain("default");
  });

  it("tells our fields all there is to know", () => {
    expect(converted.uiSchema.url["ui:options"].leaf).toMatchObject({
      kind: "text",
      required: true,
      help: "Where",
    });
    expect(converted.uiSchema.timeout["ui:options"].leaf).toMatchObject({ default: 30, literal: true });
  });

  it("hands the taking as written down to the parts", () => {
    expect(converted.uiSchema.pages.most["ui:options"].leaf.literal).toBe(true);
  });
});

describe("from a plain value to an expression", () => {
  it("and back is the same", () => {
    for (const value of [5, true, "GET", null, [1, "a"], { a: 1 }]) {
      expect(asPlain(asExpression(value))).toEqual(value);
    }
  });

  it("keeps what is an expression, and gives nothing back for one that is worked out", () => {
    expect(asExpression("{{ input.a }}")).toBe("{{ input.a }}");
    expect(asPlain("{{ input.a }}")).toBeUndefined();
    expect(asPlain("{{ 1 }}{{ 2 }}")).toBeUndefined();
  });
});

describe("withoutHoles", () => {
  it("drops keys without a value at any depth and keeps null, false and empty text", () => {
    expect(
      withoutHoles({ a: undefined, b: { c: undefined, d: null }, e: [{ f: undefined }], g: "", h: false }),
    ).toEqual({
      b: { d: null },
      e: [{}],
      g: "",
      h: false,
    });
  });

  it("gives the same object where there is nothing to drop", () => {
    const value = { a: { b: [1] } };
    expect(withoutHoles(value)).toBe(value);
  });
});

describe("problems", () => {
  it("are cut into the parts of their path", () => {
    expect(tokens("nodes[1].config.headers.X-Key")).toEqual(["nodes", "1", "config", "headers", "X-Key"]);
    expect(withinConfig("nodes[1].config.items[0].a")).toEqual(["items", "0", "a"]);
    expect(withinConfig("nodes[1].retry")).toBeUndefined();
    expect(withinConfig("url")).toEqual(["url"]);
  });

  it("go to their field, and those of no field are kept", () => {
    const { errors, others } = sortProblems(
      [
        { path: "nodes[1].config.url", message: "is required" },
        { path: "nodes[1].config.headers.X", message: "is bad" },
        { path: "nodes[1].config.odd", message: "is unknown" },
        { path: "nodes[1]", message: "is alone" },
      ],
      (key) => key !== "odd",
    );
    expect(errors).toEqual({ url: { __errors: ["is required"] }, headers: { X: { __errors: ["is bad"] } } });
    expect(others.map((one) => one.message)).toEqual(["is unknown", "is alone"]);
    expect(messagesOf(errors)).toEqual(["url: is required", "headers.X: is bad"]);
  });
});

it("finds no message where the library has emptied one", () => {
  expect(messagesOf({ url: { __errors: undefined } })).toEqual([]);
});

describe("the validator", () => {
  const schema = {
    type: "object" as const,
    required: ["host"],
    properties: { host: { type: "string" as const }, port: { type: "integer" as const, maximum: 9 } },
  };

  it("names the field of each fault", () => {
    const { errorSchema } = validator.validateFormData({ port: 10 }, schema);
    expect(errorSchema).toMatchObject({ host: { __errors: ["This field is required"] } });
    expect(errorSchema).toHaveProperty("port.__errors");
  });

  it("tells which of several schemas a value fits", () => {
    expect(validator.isValid({ type: "string" }, "a", {})).toBe(true);
    expect(validator.isValid({ type: "string" }, 1, {})).toBe(false);
  });

  it("finds what a reference means in the root", () => {
    const root = { $defs: { one: { type: "number" as const } } };
    expect(validator.isValid({ $ref: "#/$defs/one" }, 1, root)).toBe(true);
    expect(validator.isValid({ $ref: "#/$defs/one" }, "1", root)).toBe(false);
  });

  it("refuses nothing by a schema that it cannot interpret", () => {
    expect(faultsOf({ type: "string", pattern: "(" }, "a")).toEqual([]);
  });
});
