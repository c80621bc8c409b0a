// @vitest-environment jsdom
// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, test, vi } from "vitest";
import { CALM, LIVE } from "@/api/queries";
import { briefOf, pollOf, referenceOf, textOf } from "./values";

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

  it("shows the body of a response before its headers", () => {
    expect(briefOf({ status: 200, headers: { a: 1 }, body: [2] }).text).toMatch(/^\{ "body": \[ 2 \], "status": 200/);
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

const NOW = "2030-05-01T12:00:00.000Z";

beforeEach(() => void vi.useFakeTimers({ now: new Date(NOW) }));
afterEach(() => void vi.useRealTimers());

test("a run is polled often while active, seldom while waiting, and not after it ended", () => {
  expect(pollOf(undefined)).toBe(LIVE);
  expect(pollOf({ status: "running" })).toBe(LIVE);
  expect(pollOf({ status: "pending", waiting: "an answer" })).toBe(CALM / 2);
  expect(pollOf({ status: "success", finished_at: NOW })).toBe(false);
  expect(pollOf({ status: "failed", finished_at: NOW, cancelled: false })).toBe(false);
});

test("a cancelled run is polled for a while, because its active node reports later", () => {
  const run = { status: "failed", cancelled: true, finished_at: NOW };
  expect(pollOf(run)).toBe(CALM / 2);
  vi.advanceTimersByTime(60_000);
  expect(pollOf(run)).toBe(false);
});
