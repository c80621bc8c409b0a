import { describe, expect, it } from "vitest";
import type { Definition } from "@/definition/types";
import { makeStore } from "../store";
import { entriesOf, type Target } from "./menu";

const DEFINITION: Definition = {
  nodes: ["a", "b", "c"].map((id) => ({ id, type: "noop", position: { x: 0, y: 0 } })),
  edges: [{ from: "a", to: "b" }],
  notes: [{ id: "n" }],
  groups: [{ id: "g", nodes: ["b", "c"] }],
};

function open(selected: string[], readOnly = false) {
  const flow = { id: "wf_1", name: "Orders", status: "draft" as const, version: 1, definition: DEFINITION };
  const store = makeStore(flow, { a: { output: 1 } });
  store.getState().setRun(() => {});
  store.getState().setReadOnly(readOnly);
  store.getState().select(selected);
  return store;
}

function labels(selected: string[], target: Target = { kind: "selection" }, readOnly = false): string[] {
  return entriesOf(open(selected, readOnly).getState(), target)
    .flat()
    .map((entry) => entry.label);
}

describe("the context menu", () => {
  it("of a node offers what can be done with it", () => {
    expect(labels(["a"])).toEqual([
      "Open",
      "Rename",
      "Run this node",
      "Unpin output",
      "Disable",
      "Copy",
      "Cut",
      "Duplicate",
      "Group",
      "Delete",
    ]);
    expect(labels(["b"])).toEqual(expect.arrayContaining(["Fold group", "Remove from group"]));
    expect(labels(["b"])).not.toContain("Pin output");
  });

  it("of several elements, a note, a group, an edge and the canvas has other entries", () => {
    expect(labels(["a", "b"])).toEqual(["Disable", "Group", "Ungroup", "Copy", "Cut", "Duplicate", "Delete 2"]);
    expect(labels(["a", "group:g"])).toContain("Add to the group");
    expect(labels(["note:n"])[0]).toBe("Edit text");
    expect(labels(["group:g"])).toEqual(expect.arrayContaining(["Fold", "Ungroup", "Delete the frame"]));
    expect(labels([], { kind: "edge", edge: { from: "a", to: "b" } })).toEqual(["Insert a node", "Disconnect"]);
    expect(labels([], { kind: "canvas", at: { x: 0, y: 0 } })).toEqual([
      "Add a node",
      "Add a note",
      "Paste",
      "Select all",
      "Tidy up",
      "Zoom to fit",
    ]);
  });

  it("of a read-only flow changes nothing", () => {
    expect(labels(["b"], { kind: "selection" }, true)).toEqual(["Open", "Copy", "Fold group"]);
    expect(labels([], { kind: "edge", edge: { from: "a", to: "b" } }, true)).toEqual([]);
  });
});

describe("groups in the store", () => {
  it("are folded in the definition, or only on the screen if the flow is read-only", () => {
    const store = open(["b"]);
    store.getState().fold(["b"]);
    expect(store.getState().definition.groups?.[0]?.folded).toBe(true);
    expect(store.getState().selected).toEqual(["group:g"]);
    store.getState().undo();
    expect(store.getState().definition.groups?.[0]).not.toHaveProperty("folded");

    const reader = open(["b"], true);
    reader.getState().fold(["b"]);
    expect(reader.getState().definition).toBe(DEFINITION);
    expect(reader.getState().folds.get("g")).toBe(true);
    reader.getState().goTo("c");
    expect(reader.getState().folds.get("g")).toBe(false);
  });

  it("are deleted with their nodes only if folded", () => {
    const store = open(["group:g"]);
    store.getState().removeSelected();
    expect(store.getState().definition.nodes).toHaveLength(3);
    store.getState().undo();
    store.getState().fold(["group:g"]);
    store.getState().removeSelected();
    expect(store.getState().definition.nodes.map((node) => node.id)).toEqual(["a"]);
  });

  it("are disabled as a whole, and enabled if all their nodes are disabled", () => {
    const store = open([]);
    const disabled = () => store.getState().definition.nodes.map((node) => node.disabled ?? false);
    store.getState().toggleDisabled(["b"]);
    store.getState().toggleDisabled(["group:g"]);
    expect(disabled()).toEqual([false, true, true]);
    store.getState().toggleDisabled(["group:g"]);
    expect(store.getState().definition.nodes).toEqual(DEFINITION.nodes);
  });
});
