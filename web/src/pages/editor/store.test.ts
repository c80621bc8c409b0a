import { describe, expect, it } from "vitest";
import type { Definition, FlowNode } from "@/definition/types";
import { followingId, idOf, isDirty, MAX_STEPS, makeStore } from "./store";

const definition: Definition = {
  nodes: [
    { id: "a", type: "manual", position: { x: 0, y: 0 } },
    { id: "b", type: "set", position: { x: 300, y: 0 } },
  ],
  edges: [{ from: "a", to: "b" }],
};

function open() {
  const clock = { now: 1_000_000 };
  const flow = { id: "wf_1", name: "Orders", status: "draft" as const, version: 3, definition };
  const store = makeStore(flow, { b: { output: 7 } }, () => clock.now);
  return { store, clock, state: () => store.getState() };
}

describe("the editor's store", () => {
  it("undoes and redoes, including the selection", () => {
    const { state } = open();
    state().select(["b"]);
    state().removeSelected();
    expect(state().definition.nodes.map((node) => node.id)).toEqual(["a"]);
    expect(state().selected).toEqual([]);
    state().undo();
    expect(state().definition).toBe(definition);
    expect(state().selected).toEqual(["b"]);
    state().redo();
    expect(state().definition.nodes).toHaveLength(1);
  });

  it("merges typing in one field into one step until a pause", () => {
    const { state, clock } = open();
    for (const name of ["T", "To", "Tot"]) {
      state().patchNode("b", { name });
      clock.now += 200;
    }
    expect(state().history.past).toHaveLength(1);
    clock.now += 5_000;
    state().patchNode("b", { name: "Total" });
    expect(state().history.past).toHaveLength(2);
    state().undo();
    expect(state().definition.nodes[1]?.name).toBe("Tot");
    state().undo();
    expect(isDirty(state())).toBe(false);
  });

  it("keeps changes of different fields separate", () => {
    const { state } = open();
    state().patchNode("b", { name: "x" });
    state().patchNode("a", { name: "x" });
    state().patchNode("a", { notes: "x" });
    expect(state().history.past).toHaveLength(3);
  });

  it("drops the oldest step beyond the limit", () => {
    const { state } = open();
    for (let at = 0; at < MAX_STEPS + 10; at += 1) state().moveNodes(new Map([["a", { x: at * 20 + 20, y: 0 }]]));
    expect(state().history.past).toHaveLength(MAX_STEPS);
  });

  it("clears redo after a new change", () => {
    const { state } = open();
    state().removeNodes(["b"]);
    state().undo();
    state().addNode({ type: "log" }, { after: { id: "b" } });
    expect(state().history.future).toEqual([]);
    expect(state().selected).toEqual(["log"]);
  });

  it("is dirty until the server has the change", () => {
    const { state } = open();
    state().addNode({ type: "log" }, {});
    expect(isDirty(state())).toBe(true);
    const made = state().definition;
    state().setSaved({ id: "wf_1", name: "Orders", status: "draft", version: 4, definition: made }, made);
    expect(isDirty(state())).toBe(false);
    expect(state().version).toBe(4);
    state().undo();
    expect(isDirty(state())).toBe(true);
  });

  it("changes nothing if it is read-only", () => {
    const { state } = open();
    state().setReadOnly(true);
    state().removeNodes(["b"]);
    state().undo();
    expect(state().definition).toBe(definition);
  });

  it("keeps pinned output and selection of a renamed node", () => {
    const { state } = open();
    state().select(["b"]);
    state().renameNode("b", "total");
    expect(state().pinned).toEqual({ total: { output: 7 } });
    expect(state().selected).toEqual(["total"]);
  });

  it("loads another user's save, undoable if there were changes", () => {
    const { state } = open();
    state().patchNode("b", { name: "mine" });
    const theirs = { nodes: [{ id: "z", type: "log", position: { x: 0, y: 0 } }], edges: [] };
    state().take({ id: "wf_1", name: "Orders", status: "draft", version: 9, definition: theirs }, true);
    expect(state().definition).toBe(theirs);
    expect(isDirty(state())).toBe(false);
    state().undo();
    expect(state().definition.nodes[1]?.name).toBe("mine");
    expect(state().version).toBe(9);
  });

  it("replaces the definition in one step and places nodes without a position", () => {
    const { state } = open();
    state().replaceDefinition({ nodes: [...definition.nodes, { id: "c", type: "log" }], edges: [] }, "JSON");
    expect(state().definition.nodes[2]?.position).toBeDefined();
    state().undo();
    expect(state().definition).toBe(definition);
  });
});

const EMPTY: Definition = { nodes: [], edges: [] };

function named(node: FlowNode, others: FlowNode[] = [], published = EMPTY, before?: string) {
  return followingId({ nodes: [node, ...others], edges: [] }, published, node.id, before);
}

describe("an id made from a name", () => {
  it("has letters, digits and _ only", () => {
    expect(idOf("Get the orders!")).toBe("get_the_orders");
    expect(idOf("Ärger & Süßes")).toBe("arger_su_es");
    expect(idOf("2nd try")).toBe("_2nd_try");
    expect(idOf("x".repeat(100))).toHaveLength(40);
    expect(idOf("日本語")).toBeUndefined();
  });
});

describe("the id of a renamed node", () => {
  it("follows the name from that of the type, and from an earlier name", () => {
    expect(named({ id: "http", type: "http", name: "Get orders" })).toBe("get_orders");
    expect(named({ id: "http_2", type: "http", name: "Get orders" })).toBe("get_orders");
    expect(named({ id: "get_orders", type: "http", name: "All" }, [], EMPTY, "Get orders")).toBe("all");
  });

  it("differs from those of other nodes", () => {
    const other = { id: "get_orders", type: "set" };
    expect(named({ id: "http", type: "http", name: "Get orders" }, [other])).toBe("get_orders_2");
  });

  it("stays if it was chosen by hand, or the name is removed", () => {
    expect(named({ id: "mine", type: "http", name: "Get orders" })).toBeUndefined();
    expect(named({ id: "http", type: "http" })).toBeUndefined();
    expect(named({ id: "http", type: "http", name: "HTTP" })).toBeUndefined();
  });

  it("stays if another node reads it", () => {
    const node = { id: "http", type: "http", name: "Get orders" };
    for (const config of [{ text: "{{ steps.http.body }}" }, { text: "return steps['http']" }])
      expect(named(node, [{ id: "a", type: "set", config }])).toBeUndefined();
    expect(named(node, [{ id: "a", type: "set", foreach: "{{ steps.http }}" }])).toBeUndefined();
    expect(named(node, [{ id: "a", type: "set", config: { text: "the steps of https" } }])).toBe("get_orders");
  });

  it("stays if the published version has it", () => {
    const node = { id: "http", type: "http", name: "Get orders" };
    expect(named(node, [], { nodes: [{ id: "http", type: "http" }], edges: [] })).toBeUndefined();
  });
});
