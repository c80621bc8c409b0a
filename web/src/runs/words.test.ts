// @vitest-environment jsdom
import { describe, expect, it } from "vitest";
import { wholeTime } from "@/ui/format";
import { waitingText } from "./words";

describe("waitingText", () => {
  it("shows a time in the viewer's time zone", () => {
    const told = waitingText("until 2026-01-01 08:30:00 UTC");
    expect(told).toBe(`Waiting until ${wholeTime("2026-01-01T08:30:00Z")}`);
    expect(told).not.toContain("UTC");
  });

  it("leaves the text of a question unchanged", () => {
    expect(waitingText("approval: Pay until 2026-01-01 08:30:00 UTC?")).toBe(
      "Waiting for an answer: Pay until 2026-01-01 08:30:00 UTC?",
    );
    expect(waitingText("the run run_1")).toBe("Waiting for the run run_1");
  });
});
