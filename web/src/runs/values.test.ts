// @vitest-environment jsdom
import { describe, expect, it } from "vitest";
import { referenceOf, textOf } from "./values";

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
