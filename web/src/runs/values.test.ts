// @vitest-environment jsdom
import { describe, expect, it } from "vitest";
import { briefOf, referenceOf, textOf } from "./values";

describe("referenceOf", () => {
  it("recognizes a reference to a large value", () => {
    const path = "/api/runs/run_01ABC/steps/12/output";
    expect(referenceOf({ $ref: path, bytes: 900_000 })).toEqual({ path, bytes: 900_000 });
  });

  it("accepts only paths of the server", () => {
    expect(referenceOf({ $ref: "https://example.com/x", bytes: 1 })).toBeNull();
    expect(referenceOf({ $ref: "/api/runs/run_01/../../x", bytes: 1 })).toBeNull();
    expect(referenceOf({ $ref: "/api/runs/run_01/output", bytes: 1, more: 2 })).toBeNull();
    expect(referenceOf(null)).toBeNull();
  });
});

describe("textOf", () => {
  it("keeps text and formats other values as JSON", () => {
    expect(textOf("a\nb")).toEqual({ text: "a\nb", language: "text" });
    expect(textOf({ a: 1 })).toEqual({ text: '{\n  "a": 1\n}', language: "json" });
  });
});

describe("briefOf", () => {
  it("shows a small value completely on one line", () => {
    expect(briefOf({ a: 1, b: [2] })).toEqual({ text: '{ "a": 1, "b": [ 2 ] }', more: false });
    expect(briefOf("done")).toEqual({ text: "done", more: false });
    expect(briefOf(0)).toEqual({ text: "0", more: false });
    expect(briefOf(null)).toEqual({ text: null, more: false });
  });

  it("keeps line breaks within texts", () => {
    expect(briefOf({ text: "one\n  two" }).text).toBe('{ "text": "one\\n  two" }');
  });

  it("truncates a long value, and shows the size of a reference", () => {
    const long = briefOf("x".repeat(5_000));
    expect(long.text).toHaveLength(400);
    expect(long.more).toBe(true);
    expect(briefOf({ $ref: "/api/runs/run_01/output", bytes: 900_000 })).toEqual({
      text: "900 kB",
      more: true,
    });
  });
});
