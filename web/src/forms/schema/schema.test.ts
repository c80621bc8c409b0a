import { describe, expect, it } from "vitest";
import { faultsOf, validator } from "../validator";
import { formSchema } from "./formSchema";
import { kindOf } from "./leaf";
import { atValue, belowField, messagesOf, sortProblems, tokens, withinConfig } from "./problems";
import { choiceLabel, glance } from "./types";
import { asExpression, asPlain, withoutHoles } from "./values";

describe("labels", () => {
  it("come from the schema, a value without one is shown as it is", () => {
    const labels = { next_link: "Next link", 7: "7 (time-ordered)" };
    expect(choiceLabel("next_link", labels)).toBe("Next link");
    expect(choiceLabel(7, labels)).toBe("7 (time-ordered)");
    expect(choiceLabel("offset", labels)).toBe("offset");
    expect(choiceLabel("next_link")).toBe("next_link");
    expect(choiceLabel(true)).toBe("Yes");
    expect(glance(["next_link", "offset"], labels)).toBe("Next link, offset");
  });

  it("of a field are its title, or its key if it has none", () => {
    const properties = {
      fail_on_status: { type: "boolean", title: "Fail on HTTP 4xx/5xx" },
      url: { type: "string" },
    };
    const { schema } = formSchema({ type: "object", properties }, false);
    const titles = Object.values(schema.properties ?? {}).map((one) => (one as { title?: string }).title);
    expect(titles).toEqual(["Fail on HTTP 4xx/5xx", "url"]);
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

  it("is undefined for settings that consist of other fields", () => {
    expect(kindOf("pagination", { type: "object", properties: { type: { type: "string" } } })).toBeUndefined();
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
    expect(converted.schema.properties?.timeout).toEqual({ title: "timeout" });
    expect(JSON.stringify(converted.schema)).not.toContain("default");
  });

  it("gives our fields all information", () => {
    expect(converted.uiSchema.url["ui:options"].leaf).toMatchObject({
      kind: "text",
      required: true,
      help: "Where",
    });
    expect(converted.uiSchema.timeout["ui:options"].leaf).toMatchObject({ default: 30, literal: true });
  });

  it('passes "literal" on to nested parts', () => {
    expect(converted.uiSchema.pages.most["ui:options"].leaf.literal).toBe(true);
  });
});

describe("conversion of a plain value to an expression", () => {
  it("is reversible", () => {
    for (const value of [5, true, "GET", null, [1, "a"], { a: 1 }]) {
      expect(asPlain(asExpression(value))).toEqual(value);
    }
  });

  it("keeps an expression, and returns no plain value for one that must be evaluated", () => {
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

  it("returns the same object if there is nothing to drop", () => {
    const value = { a: { b: [1] } };
    expect(withoutHoles(value)).toBe(value);
  });
});

describe("problems", () => {
  it("are split by path", () => {
    expect(tokens("nodes[1].config.headers.X-Key")).toEqual(["nodes", "1", "config", "headers", "X-Key"]);
    expect(withinConfig("nodes[1].config.items[0].a")).toEqual(["items", "0", "a"]);
    expect(withinConfig("nodes[1].retry")).toBeUndefined();
    expect(withinConfig("url")).toEqual(["url"]);
  });

  it("are assigned to their field; the others are kept", () => {
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

  it("are at the value that the message names, and a text of one line has no place", () => {
    const config = { values: { a: "{{ x.}}", b: [{ c: "{{ y\n. }}" }] }, url: "{{ z. }}" };
    const placed = (path: string, message: string) => atValue(config, { path, message });
    const told = "choose a field (line 1, column 5)";
    expect(placed("config.values", `a: ${told}`)).toEqual({ path: "config.values.a", message: "choose a field" });
    expect(placed("config.values", `b[0].c: ${told}`)).toEqual({ path: "config.values.b[0].c", message: told });
    expect(placed("config.url", told)).toEqual({ path: "config.url", message: "choose a field" });
    expect(placed("config.values", `steps.x: ${told}`)).toEqual({ path: "config.values", message: `steps.x: ${told}` });
  });

  it("name a required setting by its title, also a nested one", () => {
    const pages = { title: "Pagination", properties: { size: { title: "Size" } } };
    const schema = { properties: { url: { title: "URL" }, pages } };
    const below = (path: string, message: string) => belowField(schema, { path, message }).message;
    expect(below("nodes[1].config.url", "is required")).toBe("URL is required");
    expect(below("config.pages.size", "is required")).toBe("Pagination › Size is required");
    expect(below("config.pages.other", "is required")).toBe("Pagination › other is required");
    expect(below("config.url", "must be a URL")).toBe("must be a URL");
    expect(below("config.odd", "is required")).toBe("is required");
  });
});

it("finds no message in an error that the library cleared", () => {
  expect(messagesOf({ url: { __errors: undefined } })).toEqual([]);
});

describe("the validator", () => {
  const schema = {
    type: "object" as const,
    required: ["host"],
    properties: { host: { type: "string" as const }, port: { type: "integer" as const, maximum: 9 } },
  };

  it("names the field of each problem", () => {
    const { errorSchema } = validator.validateFormData({ port: 10 }, schema);
    expect(errorSchema).toMatchObject({ host: { __errors: ["This field is required"] } });
    expect(errorSchema).toHaveProperty("port.__errors");
  });

  it("finds the schema that a value matches", () => {
    expect(validator.isValid({ type: "string" }, "a", {})).toBe(true);
    expect(validator.isValid({ type: "string" }, 1, {})).toBe(false);
  });

  it("resolves references in the root schema", () => {
    const root = { $defs: { one: { type: "number" as const } } };
    expect(validator.isValid({ $ref: "#/$defs/one" }, 1, root)).toBe(true);
    expect(validator.isValid({ $ref: "#/$defs/one" }, "1", root)).toBe(false);
  });

  it("accepts everything for a schema that it cannot interpret", () => {
    expect(faultsOf({ type: "string", pattern: "(" }, "a")).toEqual([]);
  });
});
