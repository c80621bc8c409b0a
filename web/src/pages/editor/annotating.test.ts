import { describe, expect, it } from "vitest";
import type { Definition } from "@/definition/types";
import * as annotating from "./annotating";
import * as changes from "./changes";

function flow(): Definition {
  return {
    nodes: ["a", "b", "c"].map((id, at) => ({ id, type: "noop", position: { x: at * 320, y: 0 } })),
    edges: [
      { from: "a", to: "b" },
      { from: "b", to: "c" },
    ],
    notes: [{ id: "note", text: "Why", position: { x: 0, y: -200 } }],
    groups: [{ id: "group", name: "Two", nodes: ["a", "b"] }],
  };
}
const never = () => false;

describe("notes", () => {
  it("are added up to the maximum, changed, moved and removed", () => {
    const added = annotating.addedNote(flow(), { x: 10, y: 20 });
    expect(added?.key).toBe("note:note_2");
    const full = { ...flow(), notes: Array.from({ length: 200 }, (_, at) => ({ id: `n${at}` })) };
    expect(annotating.addedNote(full, { x: 0, y: 0 })).toBeUndefined();
    const patched = annotating.patchedNote(flow(), "note:note", { color: "red", text: undefined });
    expect(patched.notes).toEqual([{ id: "note", color: "red", position: { x: 0, y: -200 } }]);
    const moved = changes.moved(flow(), new Map([["note:note", { x: 20, y: 20 }]]));
    expect(moved.notes?.[0]?.position).toEqual({ x: 20, y: 20 });
    expect(moved.nodes).toEqual(flow().nodes);
    expect(changes.removed(flow(), ["note:note"])).not.toHaveProperty("notes");
  });

  it("of an unknown key change nothing", () => {
    const definition = flow();
    expect(annotating.patchedNote(definition, "note:x", { text: "y" })).toBe(definition);
    expect(changes.removed(definition, ["note:x"])).toBe(definition);
  });
});

describe("groups", () => {
  it("contain a node once, and disappear without nodes", () => {
    const made = annotating.grouped(flow(), ["a", "b", "c"]);
    expect(made?.definition.groups).toEqual([{ id: "group_2", name: "Group", nodes: ["a", "b", "c"] }]);
    const into = annotating.grouped(flow(), ["c"], "group:group");
    expect(into?.definition.groups?.[0]?.nodes).toEqual(["a", "b", "c"]);
  });

  it("lose removed nodes, and follow renamed ones", () => {
    expect(changes.removed(flow(), ["a"]).groups?.[0]?.nodes).toEqual(["b"]);
    expect(changes.removed(flow(), ["a", "b"])).not.toHaveProperty("groups");
    expect(changes.renamed(flow(), "a", "start", never).groups?.[0]?.nodes).toEqual(["start", "b"]);
  });

  it("end, or lose nodes, with ungrouping; the nodes stay", () => {
    expect(annotating.ungrouped(flow(), ["group:group"])).not.toHaveProperty("groups");
    expect(annotating.ungrouped(flow(), ["a"]).groups?.[0]?.nodes).toEqual(["b"]);
    const definition = flow();
    expect(annotating.ungrouped(definition, ["c"])).toBe(definition);
  });

  it("get a node inserted between two of theirs", () => {
    const on = (from: string, to: string) =>
      changes.added(flow(), { type: "set" }, { on: { from, to } }).definition.groups?.[0]?.nodes;
    expect(on("a", "b")).toEqual(["a", "b", "set"]);
    expect(on("b", "c")).toEqual(["a", "b"]);
  });
});

describe("copying", () => {
  it("takes chosen notes, and groups of which all nodes are chosen", () => {
    expect(changes.pieceOf(flow(), ["a", "note:note"])).toMatchObject({ notes: [{ id: "note" }] });
    expect(changes.pieceOf(flow(), ["a", "note:note"])).not.toHaveProperty("groups");
    const piece = changes.pieceOf(flow(), ["a", "b", "group:group", "note:note"]);
    const made = changes.pasted(flow(), piece, never);
    expect(made.definition.groups?.[1]).toEqual({ id: "group_2", name: "Two", nodes: ["a_2", "b_2"] });
    expect(made.definition.notes?.[1]).toMatchObject({ id: "note_2", position: { x: 40, y: -160 } });
    expect(made.ids).toEqual(["a_2", "b_2", "note:note_2"]);
  });

  it("stops at the maximum number of notes", () => {
    const full = { ...flow(), notes: Array.from({ length: 200 }, (_, at) => ({ id: `n${at}` })) };
    const made = changes.pasted(full, changes.pieceOf(flow(), ["note:note"]), never);
    expect(made.definition.notes).toHaveLength(200);
  });
});
