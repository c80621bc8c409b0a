import { describe, expect, it } from "vitest";
import type { Json } from "@/definition/types";
import {
  besides,
  emptyField,
  FIELD_TYPES,
  type Field,
  fieldFault,
  fieldListOf,
  rechosen,
  retyped,
  schemaOf,
} from "./fieldList";

const BOOKING = {
  type: "object",
  title: "A booking",
  additionalProperties: false,
  properties: {
    room: { type: "string", enum: ["north", "south"], description: "Which one", default: "north" },
    day: { type: "string", format: "date" },
    seats: { type: "integer", minimum: 1, maximum: 12, default: 4 },
    extras: { type: "array", items: { type: "string", enum: ["tea", "cake"] } },
    notes: { type: "string", "x-multiline": true, title: "Anything else" },
  },
  required: ["day", "room"],
};

function field(more: Partial<Field>): Field {
  return { ...emptyField(), name: "a", ...more };
}

describe("the fields of a schema", () => {
  it("are read with all their keywords", () => {
    const list = fieldListOf(BOOKING);
    expect(list?.fields.map(({ name, type, required }) => [name, type, required])).toEqual([
      ["room", "choice", true],
      ["day", "date", true],
      ["seats", "integer", false],
      ["extras", "choices", false],
      ["notes", "long", false],
    ]);
    expect(list?.fields[0]).toMatchObject({
      description: "Which one",
      choices: ["north", "south"],
      default: "north",
    });
    expect(list?.fields[2]).toMatchObject({ default: 4, more: { minimum: 1, maximum: 12 } });
    expect(list?.around).toEqual({ title: "A booking", additionalProperties: false });
  });

  it("are written as the same schema, in field order", () => {
    const list = fieldListOf(BOOKING);
    expect(list && schemaOf(list)).toEqual({ ...BOOKING, required: ["room", "day"] });
  });

  it.each(FIELD_TYPES)("of the type $value are read as they were written", ({ value }) => {
    const one = field({ type: value, required: true, choices: value.startsWith("choice") ? ["x"] : [] });
    expect(fieldListOf(schemaOf({ fields: [one], around: {} }))?.fields).toEqual([one]);
  });

  it("are empty without a schema, and make no schema", () => {
    const nothings: (Json | undefined)[] = [undefined, {}, { type: "object" }, { type: "object", properties: {} }];
    for (const nothing of nothings) {
      expect(fieldListOf(nothing)).toEqual({ fields: [], around: {} });
    }
    expect(schemaOf({ fields: [], around: {} })).toBeUndefined();
    expect(schemaOf({ fields: [emptyField()], around: {} })).toBeUndefined();
  });

  it.each([
    ["no object", "text"],
    ["a list", { type: "array", items: { type: "string" } }],
    ["a part that is an object", { type: "object", properties: { a: { type: "object" } } }],
    ["several types", { type: "object", properties: { a: { type: ["string", "null"] } } }],
    ["choices that are no texts", { type: "object", properties: { a: { type: "string", enum: [1] } } }],
    ["choices of a number", { type: "object", properties: { a: { type: "number", enum: [1] } } }],
    ["a list of numbers", { type: "object", properties: { a: { type: "array", items: { type: "number" } } } }],
    ["a condition", { type: "object", properties: {}, if: {}, else: {} }],
    ["a reference", { type: "object", properties: { a: { $ref: "#/$defs/b" } }, $defs: { b: {} } }],
    ["a field without a type", { type: "object", properties: { a: {} } }],
    ["a field that takes everything", { type: "object", properties: { a: true } }],
    ["a key that must be there and is no field", { type: "object", properties: {}, required: ["a"] }],
    ["no type", { properties: { a: { type: "string" } } }],
    ["two in `required` that are one", { type: "object", properties: { a: { type: "string" } }, required: 1 }],
  ])("are not shown where they would lose something: %s", (_what, schema) => {
    expect(fieldListOf(schema)).toBeNull();
  });
});

describe("a field", () => {
  it("needs a unique name", () => {
    const fields = [field({}), field({ name: "" }), field({})];
    expect(fields.map((one) => fieldFault(fields, one))).toEqual([
      undefined,
      "Enter a name",
      "This name is already used",
    ]);
    expect(schemaOf({ fields, around: {} })).toEqual({
      type: "object",
      properties: { a: { type: "string" } },
    });
  });

  it("keeps common keywords when its type changes", () => {
    const before = field({
      type: "number",
      required: true,
      description: "How many",
      default: 3,
      more: { title: "Seats", minimum: 1 },
    });
    expect(retyped(before, "text")).toEqual(
      field({ type: "text", required: true, description: "How many", more: { title: "Seats" } }),
    );
    expect(retyped(field({ type: "choice", choices: ["x"] }), "choices").choices).toEqual(["x"]);
    expect(retyped(field({ type: "choice", choices: ["x"] }), "text").choices).toEqual([]);
  });

  it("has no default that was removed from the choices", () => {
    const before = field({ type: "choice", choices: ["x", "y"], default: "y" });
    expect(rechosen(before, ["y", "z"]).default).toBe("y");
    expect("default" in rechosen(before, ["x"])).toBe(false);
    expect("default" in rechosen(field({ type: "choices", default: ["x", "y"] }), ["x"])).toBe(false);
  });

  it("lists the keywords that it does not show", () => {
    expect(besides(field({ more: { minimum: 1, format: "email" } }))).toBe("minimum 1, format email");
  });
});
