import { describe, expect, it } from "vitest";
import type { NodeType } from "@/api/catalogue";
import type { Definition } from "@/definition/types";
import {
  branchesInWords,
  branchesTaken,
  branchesText,
  detailOf,
  failedNode,
  findStep,
  liveEdges,
  marksOf,
  nameOfStep,
  nodeStates,
  nodeToShow,
  type Step,
  withItems,
} from "./states";
import { barOf, rowsOf, spanOf } from "./timeline";

const START = Date.parse("2026-01-01T00:00:00Z");
let next = 0;

function step(node_id: string, more: Partial<Step> & { at?: number; took?: number } = {}): Step {
  const { at = 0, took = 10, ...rest } = more;
  const ended = rest.status !== "running" && rest.status !== "waiting";
  next += 1;
  return {
    id: `step_01ABC_${String(next).padStart(6, "0")}`,
    number: next,
    pinned: false,
    run_id: "run_01ABC",
    node_id,
    node_type: "set",
    node_name: node_id.toUpperCase(),
    status: "success",
    attempt: 1,
    index: null,
    branch: null,
    error_text: null,
    started_at: new Date(START + at).toISOString(),
    finished_at: ended ? new Date(START + at + took).toISOString() : null,
    duration_ms: ended ? Math.round(took) : null,
    duration_us: ended ? took * 1_000 : null,
    ...rest,
  };
}

const FLOW: Definition = {
  nodes: [
    { id: "a", type: "manual" },
    { id: "b", type: "if" },
    { id: "c", type: "log" },
    { id: "d", type: "log" },
  ],
  edges: [
    { from: "a", to: "b" },
    { from: "b", to: "c", branch: "true" },
    { from: "b", to: "d", branch: "false" },
  ],
};

describe("nameOfStep", () => {
  const catalogue = { find: () => ({ name: "Set values" }) as NodeType };

  it("uses the type's name for an unnamed node, as its card does", () => {
    expect(nameOfStep({ node_id: "a", node_name: "a", node_type: "set" }, catalogue)).toBe("Set values");
    expect(nameOfStep({ node_id: "a", node_name: "Totals", node_type: "set" }, catalogue)).toBe("Totals");
    expect(nameOfStep({ node_id: "a", node_name: "a", node_type: "set" }, undefined)).toBe("a");
  });
});

describe("nodeStates", () => {
  it("uses the last attempt and counts all attempts", () => {
    const steps = [step("a", { status: "failed", error_text: "no" }), step("a", { attempt: 2, at: 50 })];
    const state = nodeStates(steps, true).get("a");
    expect(state).toMatchObject({ outcome: "success", attempts: 2, error: null, durationMs: 60 });
    expect(state?.step).toBe(steps[1]?.number);
  });

  it("counts each item once, by its last attempt", () => {
    const steps = [
      step("a", { index: 0 }),
      step("a", { index: 1, status: "failed", error_text: "no" }),
      step("a", { index: 1, attempt: 2 }),
      step("a", { index: 2, status: "running" }),
    ];
    expect(nodeStates(steps, false).get("a")).toMatchObject({
      outcome: "running",
      items: { done: 2, failed: 0, begun: 3 },
      attempts: 1,
    });
  });

  it("is successful for a loop if the step of the whole loop is", () => {
    const steps = [step("a", { took: 90 }), step("a", { index: 0 }), step("a", { index: 1 })];
    const state = nodeStates(steps, true).get("a");
    expect(state).toMatchObject({ outcome: "success", durationMs: 90, items: { done: 2, begun: 2 } });
    expect(state && detailOf(state)).toBe("90 ms");
    expect(marksOf(nodeStates(steps, true)).get("a")?.items).toBe("2 items");
  });

  it("is cancelled for steps that were active when the run ended", () => {
    expect(nodeStates([step("a", { status: "running" })], true).get("a")?.outcome).toBe("cancelled");
    expect(nodeStates([step("a", { index: 0 })], true).get("a")?.outcome).toBe("cancelled");
  });
});

describe("liveEdges", () => {
  it("are those of the branch taken", () => {
    const states = nodeStates([step("a"), step("b", { branch: "true" }), step("c")], true);
    expect(FLOW.edges.filter(liveEdges(FLOW, states)).map((edge) => edge.to)).toEqual(["b", "c"]);
  });

  it("exclude nodes that the run did not reach", () => {
    const states = nodeStates([step("a"), step("b", { branch: "true" })], true);
    expect(FLOW.edges.filter(liveEdges(FLOW, states)).map((edge) => edge.to)).toEqual(["b"]);
  });

  it('continue after a failure only at the error branch or with on_error "continue"', () => {
    const flow: Definition = {
      ...FLOW,
      edges: [
        { from: "a", to: "b" },
        { from: "a", to: "c", branch: "error" },
      ],
    };
    const failed = step("a", { status: "failed" });
    expect(flow.edges.filter(liveEdges(flow, nodeStates([failed], true)))).toEqual([]);
    const byBranch = nodeStates([{ ...failed, branch: "error" }, step("c")], true);
    expect(flow.edges.filter(liveEdges(flow, byBranch)).map((edge) => edge.to)).toEqual(["c"]);
    const forgiving: Definition = { ...flow, nodes: [{ id: "a", type: "x", on_error: "continue" }] };
    expect(
      flow.edges.filter(liveEdges(forgiving, nodeStates([failed, step("b")], true))).map((edge) => edge.to),
    ).toEqual(["b"]);
  });

  it("pass a disabled node only if it was reached", () => {
    const flow: Definition = {
      nodes: [
        { id: "a", type: "x" },
        { id: "b", type: "x", disabled: true },
        { id: "c", type: "x" },
      ],
      edges: [
        { from: "a", to: "b" },
        { from: "b", to: "c" },
      ],
    };
    const passed = nodeStates([step("a"), step("b", { status: "skipped" }), step("c")], true);
    expect(flow.edges.every(liveEdges(flow, passed))).toBe(true);
    const not = nodeStates([step("a", { status: "skipped" }), step("b", { status: "skipped" })], true);
    expect(flow.edges.some(liveEdges(flow, not))).toBe(false);
  });
});

describe("the node shown first", () => {
  it("is the node whose failure ended the run, not a tolerated failure", () => {
    const states = nodeStates([step("a", { status: "failed" }), step("b", { status: "failed" })], true);
    expect(failedNode({ status: "failed", error_node_id: "b" }, states)?.nodeId).toBe("b");
    expect(failedNode({ status: "failed", error_node_id: null }, states)?.nodeId).toBe("a");
    expect(failedNode({ status: "success", error_node_id: null }, states)).toBeUndefined();
  });

  it("is a waiting or running node, else the last one that was not skipped", () => {
    const ended = { status: "success", error_node_id: null } as const;
    const done = nodeStates([step("a"), step("b"), step("c", { status: "skipped" })], true);
    expect(nodeToShow(ended, done)?.nodeId).toBe("b");
    const waits = nodeStates([step("a"), step("b", { status: "waiting" }), step("c")], false);
    expect(nodeToShow({ status: "pending", error_node_id: null }, waits)?.nodeId).toBe("b");
  });

  it("is found by its step number", () => {
    const wanted = step("b");
    const found = findStep(nodeStates([step("a"), wanted], true), wanted.number);
    expect(found?.state.nodeId).toBe("b");
    expect(findStep(nodeStates([wanted], true), 999_999)).toBeUndefined();
  });

  it("marks loops with their items, also without steps of items", () => {
    const marks = marksOf(nodeStates([step("a"), step("b")], true));
    const nodes = ["a", "b"].map((id) => ({
      id,
      type: "set",
      ...(id === "a" ? { foreach: "{{ input }}" } : {}),
    }));
    const made = withItems(
      marks,
      { nodes },
      new Map([
        ["a", 1],
        ["b", 2],
      ]),
    );
    expect([made.get("a")?.items, made.get("b")?.items]).toEqual(["1 item", undefined]);
  });

  it("tell which branch the output of a node took, and how many items took each", () => {
    const counts = new Map([
      ["b", 4],
      ["b true", 3],
      ["b false", 0],
      ["bb true", 7],
    ]);
    const taken = (branch: string | null, known = counts) => branchesTaken({ nodeId: "b", branch }, known);
    expect(taken("true", new Map())).toEqual([{ branch: "true", items: undefined }]);
    expect(branchesText(taken("true"))).toBe("true 4");
    expect(branchesText(taken(""))).toBe("true 3 / false 0");
    expect([taken(null), taken("", new Map())]).toEqual([[], []]);
    const words = (branch: string | null, index: number | null = null, known = counts) =>
      branchesInWords({ nodeId: "b", branch }, { index, branch: "false" }, known);
    expect(words("")).toBe("true: 3 items · false: 0 items");
    expect(words("true", null, new Map())).toBe("branch true");
    expect([words("", 1), words(null)]).toEqual(["branch false", undefined]);
    const marks = marksOf(nodeStates([step("a"), step("b", { branch: "" })], true), counts);
    expect(marks.get("b")).toMatchObject({ detail: "true 3 / false 0", branches: taken("") });
    expect(marks.get("a")?.branches).toBeUndefined();
  });

  it("marks pinned nodes in addition to their outcome", () => {
    const marks = marksOf(nodeStates([step("a")], true), undefined, ["a", "z"]);
    expect(marks.get("a")).toMatchObject({ outcome: "success", pinned: true, detail: "10 ms" });
    expect(marks.get("z")).toEqual({ pinned: true });
  });
});

describe("the timeline", () => {
  const states = () =>
    nodeStates(
      [
        step("a"),
        step("b", { index: 1, at: 30 }),
        step("b", { index: 0, at: 20 }),
        step("b", { index: 0, attempt: 2, at: 25 }),
        step("b", { at: 10, took: 90 }),
      ],
      true,
    );

  it("groups items and attempts under their node", () => {
    const folded = rowsOf(states().values(), new Set(), true, () => "");
    expect(folded.map((row) => [row.name, row.foldable])).toEqual([
      ["A", false],
      ["B", true],
    ]);
    const open = rowsOf(states().values(), new Set(["b"]), true, () => "");
    expect(open.map((row) => row.name)).toEqual(["A", "B", "Item 1", "Item 1", "Item 2"]);
    expect(open[3]?.note).toBe("attempt 2");
  });

  it("positions bars by time", () => {
    const rows = rowsOf(states().values(), new Set(), true, () => "");
    const span = spanOf(rows, START);
    expect(span).toEqual({ from: START, to: START + 100 });
    const [first] = rows;
    expect(first && barOf(first, span, START)).toEqual({ left: 0, width: 10 });
  });

  it("extends active bars to the present", () => {
    const rows = rowsOf(nodeStates([step("a", { status: "running" })], false).values(), new Set(), false, () => "");
    const span = spanOf(rows, START + 500);
    expect(span.to).toBe(START + 500);
    expect(rows[0] && barOf(rows[0], span, START + 500)).toEqual({ left: 0, width: 100 });
  });

  it("has a time span even without steps", () => {
    expect(spanOf([], 5)).toEqual({ from: 5, to: 6 });
  });
});
