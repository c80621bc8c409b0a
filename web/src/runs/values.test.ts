// @vitest-environment jsdom
import { describe, expect, it } from "vitest";
import { briefOf, referenceOf, textOf } from "./values";

describe("referenceOf", () => {
  it("knows what the server gives instead of a large value", () => {
    const path = "/api/runs/run_01ABC/steps/12/output";
    expect(referenceOf({ $ref: path, bytes: 900_000 })).toEqual({ path, bytes: 900_000 });
  });

  it("follows no address that is not the server's own", () => {
    expect(referenceOf({ $ref: "https://example.com/x", bytes: 1 })).toBeNull();
    expect(referenceOf({ $ref: "/api/runs/run_01/../../x", bytes: 1 })).toBeNull();
    expect(referenceOf({ $ref: "/api/runs/run_01/output", bytes: 1, more: 2 })).toBeNull();
    expect(referenceOf(null)).toBeNull();
  });
});

describe("textOf", () => {
  it("leaves texts as they are and writes the rest as JSON", () => {
    expect(textOf("a\nb")).toEqual({ text: "a\nb", language: "text" });
    expect(textOf({ a: 1 })).toEqual({ text: '{\n  "a": 1\n}', language: "json" });
  });
});

describe("briefOf", () => {
  it("has a small value on one line, with nothing more to open", () => {
    expect(briefOf({ a: 1, b: [2] })).toEqual({ text: '{ "a": 1, "b": [ 2 ] }', more: false });
    expect(briefOf("done")).toEqual({ text: "done", more: false });
    expect(briefOf(0)).toEqual({ text: "0", more: false });
    expect(briefOf(null)).toEqual({ text: null, more: false });
  });

  it("keeps the lines of texts within a value", () => {
    expect(briefOf({ text: "one\n  two" }).text).toBe('{ "text": "one\\n  two" }');
  });

  it("cuts a long one, and says of one that was not sent how large it is", () => {
    const long = briefOf("x".repeat(5_000));
    expect(long.text).toHaveLength(400);
    expect(long.more).toBe(true);
    expect(briefOf({ $ref: "/api/runs/run_01/output", bytes: 900_000 })).toEqual({
      text: "900 kB",
      more: true,
    });
  });
});
