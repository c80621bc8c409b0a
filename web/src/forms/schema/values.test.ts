import { describe, expect, it } from "vitest";
import { initialOf, instantOf, localOf } from "./values";

describe("the initial value of a form", () => {
  it("contains the defaults", () => {
    const properties = { a: { type: "integer", default: 4 }, b: { type: "string" }, c: { default: null } };
    expect(initialOf({ type: "object", properties })).toEqual({ a: 4, c: null });
  });

  it("contains the values that required fields show", () => {
    const properties = {
      on: { type: "boolean" },
      list: { type: "array" },
      who: {
        type: "object",
        properties: { sure: { type: "boolean" }, name: { type: "string" } },
        required: ["sure"],
      },
      text: { type: "string" },
      fixed: { const: 1 },
    };
    expect(initialOf({ properties, required: Object.keys(properties) })).toEqual({
      on: false,
      list: [],
      who: { sure: false },
      fixed: 1,
    });
    expect(initialOf({ properties })).toEqual({});
  });
});

describe("a time", () => {
  it("is shown as local and written in UTC", () => {
    for (const at of ["2026-01-05T07:30:00Z", "2026-07-01T23:59:07Z"]) {
      expect(instantOf(localOf(at))).toBe(at);
    }
    expect(localOf("2026-01-05T07:30:00+02:00")).toBe(localOf("2026-01-05T05:30:00Z"));
  });

  it("is undefined if it is empty", () => {
    expect([localOf("soon"), localOf(""), instantOf("")]).toEqual(["", "", undefined]);
  });
});
