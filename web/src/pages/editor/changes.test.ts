import { describe, expect, it } from "vitest";
import type { Definition } from "@/definition/types";
import * as changes from "./changes";
import { loadTidied, rewriteNode, rewriteText } from "./changes";

const NEVER = () => false;

function line(): Definition {
  return {
    nodes: [
      { id: "a", type: "manual", position: { x: 0, y: 0 } },
      { id: "b", type: "set", config: { values: { x: "{{ steps.a.x }}" } }, position: { x: 300, y: 0 } },
      { id: "c", type: "log", config: { message: "{{ steps.b.x }}" }, position: { x: 600, y: 0 } },
    ],
    edges: [
      { from: "a", to: "b" },
      { from: "b", to: "c" },
    ],
  };
}

describe("adding a node", () => {
  it("places it after another node, connected at the given branch, at a free position", () => {
    const made = changes.added(line(), { type: "log" }, { after: { id: "b", branch: "true" } });
    expect(made.id).toBe("log");
    expect(made.definition.edges.at(-1)).toEqual({ from: "b", to: "log", branch: "true" });
    const spot = made.definition.nodes.at(-1)?.position;
    expect(spot).toEqual({ x: 620, y: 100 });
  });

  it("places what follows a lower output further down, whichever was connected first", () => {
    const places = (...ways: [string, number][]) => {
      let flow = line();
      for (const [branch, nth] of ways)
        flow = changes.added(flow, { type: "log" }, { after: { id: "c", branch, nth } }).definition;
      return flow.nodes.slice(3).map((node) => node.position?.y);
    };
    expect(places(["true", 0], ["false", 1])).toEqual([0, 100]);
    expect(places(["error", 1], ["true", 0])).toEqual([100, 0]);
    // No space for outputs that may never be connected.
    expect(places(["default", 9])).toEqual([100]);
  });

  it("gives two nodes of the same type different ids", () => {
    const first = changes.added(line(), { type: "http" }, {});
    expect(changes.added(first.definition, { type: "http" }, {}).id).toBe("http_2");
  });

  it("places it before another node on request", () => {
    const { definition } = changes.added(line(), { type: "if" }, { before: "c", out: "true" });
    expect(definition.edges.at(-1)).toEqual({ from: "if", to: "c", branch: "true" });
  });

  it("splits an edge and makes room", () => {
    const on = { from: "a", to: "b" };
    const { definition } = changes.added(line(), { type: "if" }, { on, out: "true" });
    expect(definition.edges).toEqual([
      { from: "a", to: "if" },
      { from: "if", to: "b", branch: "true" },
      { from: "b", to: "c" },
    ]);
    expect(definition.nodes.map((node) => node.position?.x)).toEqual([0, 600, 900, 280]);
  });

  it("shares unchanged nodes", () => {
    const before = line();
    const { definition } = changes.added(before, { type: "log" }, { after: { id: "c" } });
    expect(definition.nodes.slice(0, 3)).toEqual(before.nodes);
    expect(definition.nodes[0]).toBe(before.nodes[0]);
  });
});

describe("removing nodes", () => {
  it("connects predecessor and successor of a single node", () => {
    expect(changes.removed(line(), ["b"]).edges).toEqual([{ from: "a", to: "c" }]);
  });

  it("removes the edges of several nodes", () => {
    expect(changes.removed(line(), ["a", "b"])).toMatchObject({ nodes: [{ id: "c" }], edges: [] });
  });

  it("that do not exist changes nothing", () => {
    const before = line();
    expect(changes.removed(before, ["x"])).toBe(before);
  });
});

describe("renaming a node", () => {
  it("updates its edges and references", () => {
    const made = changes.renamed(line(), "b", "total", NEVER);
    expect(made.nodes[1]?.id).toBe("total");
    expect(made.edges).toEqual([
      { from: "a", to: "total" },
      { from: "total", to: "c" },
    ]);
    expect(made.nodes[2]?.config).toEqual({ message: "{{ steps.total.x }}" });
    expect(made.nodes[0]).toEqual(line().nodes[0]);
  });

  it("is refused for a used or invalid id", () => {
    expect(changes.idRefusal(line(), "b", "c")).toBe("Another node has the id c");
    expect(changes.idRefusal(line(), "b", "1x")).toContain("not starting with a digit");
    expect(changes.idRefusal(line(), "b", "b")).toBeUndefined();
    expect(changes.idRefusal(line(), "b", "total_2")).toBeUndefined();
  });
});

describe("pasting", () => {
  it("creates new ids and updates the references between pasted nodes", () => {
    const piece = changes.pieceOf(line(), ["b", "c"]);
    const made = changes.pasted(line(), piece, NEVER);
    expect(made.ids).toEqual(["b_2", "c_2"]);
    expect(made.definition.edges.at(-1)).toEqual({ from: "b_2", to: "c_2" });
    expect(made.definition.nodes[4]?.config).toEqual({ message: "{{ steps.b_2.x }}" });
    expect(made.definition.nodes[3]?.config).toEqual({ values: { x: "{{ steps.a.x }}" } });
  });

  it("keeps ids that are unused in another flow", () => {
    const piece = changes.pieceOf(line(), ["b"]);
    const made = changes.pasted({ nodes: [], edges: [] }, piece, NEVER, { x: 101, y: 99 });
    expect(made.definition.nodes).toMatchObject([{ id: "b", position: { x: 100, y: 100 } }]);
  });

  it("twice places the second copy beside the first", () => {
    const piece = changes.pieceOf(line(), ["b"]);
    const once = changes.pasted(line(), piece, NEVER);
    const twice = changes.pasted(once.definition, piece, NEVER);
    expect(twice.definition.nodes[4]?.position).not.toEqual(once.definition.nodes[3]?.position);
    const there = { x: 400, y: 300 };
    const first = changes.pasted(line(), piece, NEVER, there);
    const second = changes.pasted(first.definition, piece, NEVER, there);
    expect(second.definition.nodes[4]?.position).not.toEqual(first.definition.nodes[3]?.position);
  });
});

describe("changing parts", () => {
  it("of a node removes undefined keys", () => {
    const named = changes.patched(line(), "a", { name: "Start", notes: "x" });
    const made = changes.patched(named, "a", { notes: undefined });
    expect(made.nodes[0]).toEqual({ id: "a", type: "manual", name: "Start", position: { x: 0, y: 0 } });
  });

  it("of the settings removes the object with its last key", () => {
    const made = changes.withSettings(line(), { timezone: "Europe/Berlin" });
    expect(made.settings).toEqual({ timezone: "Europe/Berlin" });
    expect(changes.withSettings(made, { timezone: undefined })).not.toHaveProperty("settings");
  });

  it("without effect returns the same definition", () => {
    const before = line();
    expect(changes.moved(before, new Map([["a", { x: 0, y: 0 }]]))).toBe(before);
  });
});

describe("placing", () => {
  it("lays out all nodes if none has a position", async () => {
    const bare = { nodes: line().nodes.map(({ position: _, ...node }) => node), edges: line().edges };
    const xs = changes.placed(bare).nodes.map((node) => node.position?.x ?? 0);
    expect(xs).toEqual([...xs].sort((one, other) => one - other));
    expect(new Set(xs).size).toBe(3);
    // With the code of the layout, two nodes after one are above each other; without it, beside each other.
    const fork = { ...bare, edges: bare.edges.map((edge) => ({ ...edge, from: "a" })) };
    const count = () => new Set(changes.placed(fork).nodes.map((node) => node.position?.x)).size;
    expect(count()).toBe(3);
    await loadTidied();
    expect(count()).toBe(2);
  });

  it("keeps positions if only one node lacks one", () => {
    const before = line();
    const nodes = [...before.nodes, { id: "d", type: "log" }];
    const made = changes.placed({ nodes, edges: [...before.edges, { from: "c", to: "d" }] });
    expect(made.nodes[0]).toBe(before.nodes[0]);
    expect(made.nodes[3]?.position).toEqual({ x: 880, y: 0 });
  });
});

describe("comparing", () => {
  it("counts added, removed and changed nodes, but not moves", () => {
    const mine = changes.patched(changes.removed(line(), ["c"]), "b", { name: "B" });
    const moved = changes.moved(mine, new Map([["a", { x: 40, y: 40 }]]));
    const { definition } = changes.added(moved, { type: "log" }, {});
    expect(changes.differences(line(), definition)).toEqual({ added: 1, removed: 1, changed: 1 });
  });
});

const renamed = new Map([["old", "new_one"]]);

describe("references to a renamed node", () => {
  it.each([
    ["{{ steps.old.total }}", "{{ steps.new_one.total }}"],
    ["{{steps.old}}", "{{steps.new_one}}"],
    ['{{ steps["old"].a }}', '{{ steps["new_one"].a }}'],
    ["{{ steps[ 'old' ] }}", "{{ steps[ 'new_one' ] }}"],
    ['{{ steps.get("old", 1) }}', '{{ steps.get("new_one", 1) }}'],
    ["a {{ steps.old }} b {{ steps.old + steps.other }}", "a {{ steps.new_one }} b {{ steps.new_one + steps.other }}"],
    ['{{ {"a": {"b": steps.old}} }}', '{{ {"a": {"b": steps.new_one}} }}'],
    ['{{ "}}" ~ steps.old }}', '{{ "}}" ~ steps.new_one }}'],
    [
      "{{ (steps.old|length) if steps.old else 'steps.old' }}",
      "{{ (steps.new_one|length) if steps.new_one else 'steps.old' }}",
    ],
    ["{# steps.old #}{{ steps.old }}", "{# steps.old #}{{ steps.new_one }}"],
    ['{{ steps["old"] ~ "steps.old" }}', '{{ steps["new_one"] ~ "steps.old" }}'],
  ])("are rewritten in %s", (text, expected) => {
    expect(rewriteText(text, renamed)).toBe(expected);
  });

  it.each([
    "steps.old",
    "{{ steps.older }}",
    "{{ input.steps.old }}",
    "{{ mysteps.old }}",
    "{{ 'steps.old' }}",
    '{{ "{{ steps.old }}" }}',
    "{# {{ steps.old }} #}",
    "{{ steps }}",
    "{ steps.old }",
    "{{ x|steps.old }}",
    "{{ 'unended",
  ])("are not seen in %s", (text) => {
    expect(rewriteText(text, renamed)).toBe(text);
  });

  it("may be swapped", () => {
    const swap = new Map([
      ["a", "b"],
      ["b", "a"],
    ]);
    expect(rewriteText("{{ steps.a - steps.b }}", swap)).toBe("{{ steps.b - steps.a }}");
  });

  it("stay in keys without expressions, and an unchanged node stays the same object", () => {
    const node = { id: "x", type: "code", config: { source: "{{ steps.old }}", input: ["{{ steps.old }}"] } };
    const literal = (_type: string, key: string) => key === "source";
    expect(rewriteNode(node, renamed, literal).config).toEqual({
      source: "{{ steps.old }}",
      input: ["{{ steps.new_one }}"],
    });
    expect(rewriteNode(node, new Map([["else", "where"]]), literal)).toBe(node);
  });

  it("are updated in foreach", () => {
    const node = { id: "x", type: "log", foreach: "{{ steps.old.items }}" };
    expect(rewriteNode(node, renamed, () => false).foreach).toBe("{{ steps.new_one.items }}");
  });
});
