// @vitest-environment jsdom
import { describe, expect, it } from "vitest";
import type { Definition } from "@/definition/types";
import type { NodeState } from "@/runs/states";
import { bodyOf, toKeep } from "./starting";

const SAVED: Definition = {
  nodes: [
    { id: "a", type: "x" },
    { id: "b", type: "y" },
    { id: "c", type: "x" },
  ],
  edges: [
    { from: "a", to: "b" },
    { from: "b", to: "c", branch: "yes" },
  ],
};
const KNOWN = {
  definition: SAVED,
  published: SAVED,
  pinned: {},
  catalogue: undefined,
  check: {
    of: SAVED,
    problems: [],
    byNode: new Map(),
    ways: new Map([["b", ["yes", "no"]]]),
  },
};

describe("the request that starts a run", () => {
  it("contains only the input if everything is saved", () => {
    expect(bodyOf(KNOWN, { input: 3 }, true)).toEqual({
      input: 3,
      definition: null,
      until: null,
      only: null,
      from_run: null,
      pinned: null,
    });
  });

  it("names the only node and the run with its data, and does not pin that node", () => {
    const pinned = { a: { output: 1 }, b: { output: 2, branch: "no" } };
    const body = bodyOf({ ...KNOWN, pinned }, { only: "b", fromRun: "run_1" }, true);
    expect(body).toMatchObject({ only: "b", from_run: "run_1", until: null, input: null });
    expect(Object.keys(body.pinned ?? {})).toEqual(["a"]);
  });

  it("contains unsaved changes, but only for editors", () => {
    const draft = { ...SAVED };
    expect(bodyOf({ ...KNOWN, definition: draft }, {}, true).definition).toBe(draft);
    expect(bodyOf({ ...KNOWN, definition: draft, pinned: { a: { output: 1 } } }, {}, false)).toMatchObject({
      definition: null,
      pinned: null,
    });
  });

  it("contains an incomplete saved definition, of which only the part that runs must be valid", () => {
    const problem = { level: "error" as const, message: "", path: "nodes[2]", nodeId: "c", field: null };
    const known = { ...KNOWN, check: { ...KNOWN.check, problems: [problem] } };
    expect(bodyOf(known, { until: "b" }, true).definition).toBe(SAVED);
    expect(bodyOf(known, {}, true).definition).toBe(SAVED);
    expect(bodyOf(KNOWN, { until: "b" }, true).definition).toBeNull();
  });

  it("gives pinned nodes an existing branch", () => {
    const pinned = { a: { output: 1, branch: "gone" }, b: { output: 2 }, z: { output: 3 } };
    expect(bodyOf({ ...KNOWN, pinned }, {}, true).pinned).toEqual({
      a: { output: 1, branch: null },
      b: { output: 2, branch: "yes" },
    });
    const chosen = { b: { output: 2, branch: "no" } };
    expect(bodyOf(KNOWN, { pinned: chosen }, true).pinned).toEqual({ b: { output: 2, branch: "no" } });
  });

  it("executes the last node even if it is pinned", () => {
    const pinned = { b: { output: 2, branch: "no" } };
    expect(bodyOf({ ...KNOWN, pinned }, { until: "b" }, true)).toMatchObject({ until: "b", pinned: null });
  });
});

describe("running from a node", () => {
  it("keeps the outputs of successful nodes that do not run again", () => {
    const states = new Map<string, NodeState>(
      ["a", "b", "c", "gone"].map((id) => [id, { nodeId: id, outcome: "success" } as NodeState]),
    );
    expect(toKeep(SAVED, states, "b").map((state) => state.nodeId)).toEqual(["a"]);
  });
});
