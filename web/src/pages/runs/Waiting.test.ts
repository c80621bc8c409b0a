// @vitest-environment jsdom
import { describe, expect, it } from "vitest";
import { answerIn } from "./Waiting";

describe("answerIn", () => {
  it("contains the user and the answer", () => {
    expect(answerIn({ answer: "approved", by: "kim@example.com" })).toBe("kim@example.com approved this.");
    expect(answerIn({ answer: "rejected", by: "a signed link" })).toBe("A signed link rejected this.");
  });

  it("says that nobody answered", () => {
    expect(answerIn({ answer: "timeout", by: null })).toBe("No one answered in time.");
  });

  it("is null for other outputs", () => {
    for (const other of [null, "text", { answer: 3, by: "x" }, { by: "x" }]) expect(answerIn(other)).toBeNull();
  });
});
