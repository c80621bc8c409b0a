// @vitest-environment jsdom
import { describe, expect, it, test } from "vitest";
import { wholeTime } from "@/ui/format";
import { agentOf, definitionAt, edgeLabel, inEditor, triggerOf, waitingText } from "./words";

test("runs of a draft or of a part of a flow are tests", () => {
  expect(triggerOf({ triggered_by: "manual", draft: false, until: null, only: null, pinned: [] })).toBe("Manual");
  expect(triggerOf({ triggered_by: "manual", only: "a" })).toBe("Test");
  expect(triggerOf({ triggered_by: "manual", draft: true })).toBe("Test");
  expect(triggerOf({ triggered_by: "webhook" })).toBe("Webhook or form");
});

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

it("names the branch and the number of items of an edge", () => {
  expect(edgeLabel({}, 1234)).toBe("1,234 items");
  expect(edgeLabel({ branch: "true" }, 1)).toBe("true, 1 item");
  expect(edgeLabel({ branch: "true" }, undefined)).toBe("true");
  expect(edgeLabel({}, undefined)).toBeUndefined();
});

test("a run of a flow leads to its node in the editor", () => {
  const run = { id: "run_1", workflow_id: "wf_1" };
  expect(agentOf(run)).toBeUndefined();
  expect(definitionAt(run)).toBe("/flows/wf_1");
  expect(inEditor(run, "fetch")).toBe("/flows/wf_1?node=fetch&run=run_1");
});

test("a run of an agent leads to the agent, which has no editor", () => {
  const run = { id: "run_1", workflow_id: "agent:order-helper" };
  expect(agentOf(run)).toBe("order-helper");
  expect(definitionAt(run)).toBe("/agents/order-helper");
  expect(inEditor(run, "agent")).toBe("/agents/order-helper");
});
