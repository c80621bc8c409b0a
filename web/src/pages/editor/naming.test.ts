import { describe, expect, it } from "vitest";
import type { Definition, FlowNode } from "@/definition/types";
import { followingId, idOf } from "./naming";

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
    expect(named(node, [{ id: "a", type: "set", config: { text: "the steps of https" } }])).toBe(
      "get_orders",
    );
  });

  it("stays if the published version has it", () => {
    const node = { id: "http", type: "http", name: "Get orders" };
    expect(named(node, [], { nodes: [{ id: "http", type: "http" }], edges: [] })).toBeUndefined();
  });
});
