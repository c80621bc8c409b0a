// @vitest-environment jsdom
import { describe, expect, it } from "vitest";
import { wholeTime } from "@/ui/format";
import { waitsFor } from "./words";

describe("waitsFor", () => {
  it("gives a time as the viewer's clock has it", () => {
    const told = waitsFor("until 2026-01-01 08:30:00 UTC");
    expect(told).toBe(`the time: ${wholeTime("2026-01-01T08:30:00Z")}`);
    expect(told).not.toContain("UTC");
  });

  it("leaves the words of a question alone", () => {
    expect(waitsFor("approval: Pay until 2026-01-01 08:30:00 UTC?")).toBe(
      "an answer: Pay until 2026-01-01 08:30:00 UTC?",
    );
    expect(waitsFor("the run run_1")).toBe("the run run_1");
  });
});
