import { expect, test } from "vitest";
import { agentOf, definitionAt, inEditor } from "./links";

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
