import { expect, it } from "vitest";
import type { Catalogue, NodeType } from "@/api/catalogue";
import type { Definition } from "@/definition/types";
import { countOf, foundIn, hitsIn } from "./hits";

const HTTP = {
  type: "http",
  name: "HTTP request",
  config_schema: {
    properties: {
      url: { type: "string", title: "URL" },
      method: { enum: ["GET", "POST"], title: "Method", "x-enum-labels": { POST: "Send data" } },
      headers: { type: "object", title: "Headers", additionalProperties: { type: "string" } },
      pages: {
        title: "Pagination",
        oneOf: [{ properties: { next: { type: "string", title: "Next page" } } }, { type: "null" }],
      },
      rows: { title: "Rows", type: "array", items: { properties: { cell: { title: "Cell" } } } },
    },
  },
} as unknown as NodeType;

const catalogue: Catalogue = {
  types: [HTTP],
  find: (type) => (type === "http" ? HTTP : undefined),
  schemaOf: ({ type }) => (type === "http" ? HTTP.config_schema : undefined),
  categoryName: (category) => category,
  broken: [],
};

const definition: Definition = {
  nodes: [
    {
      id: "send",
      type: "http",
      name: "Send the invoice",
      notes: "Ask Ada before changing this",
      foreach: "{{ input.orders }}",
      position: { x: 300, y: 0 },
      config: {
        url: "https://api.example.com/{{ steps.start.output.Straße }}",
        method: "POST",
        headers: { "X-Invoice": "yes" },
        pages: { next: "{{ body.next }}" },
        rows: [{ cell: "a" }, { cell: "needle" }],
      },
    },
    { id: "start", type: "manual", position: { x: 0, y: 0 }, config: { schema: null, n: 42, on: true } },
  ],
  edges: [{ from: "start", to: "send" }],
  settings: { vars: { limit: 10, shop: "Harbour" } },
};

const places = (search: string) =>
  hitsIn(definition, catalogue, search).map(({ nodeId, path, title }) => [nodeId, path, title]);

it.each([
  [
    "INVOICE",
    [
      ["send", "name", "Name"],
      ["send", "config.headers.X-Invoice", "Headers"],
    ],
  ],
  ["example.com", [["send", "config.url", "URL"]]],
  ["straße", [["send", "config.url", "URL"]]],
  ["send data", [["send", "config.method", "Method"]]],
  ["body.next", [["send", "config.pages.next", "Pagination → Next page"]]],
  ["needle", [["send", "config.rows[1].cell", "Rows → 2 → Cell"]]],
  ["input.orders", [["send", "foreach", "Loop over items"]]],
  ["ada", [["send", "notes", "Notes"]]],
  ["http request", [["send", "type", "Type"]]],
  ["42", [["start", "config.n", "n"]]],
  ["harbour", [[null, "vars.shop", "Variables"]]],
  ["no such text", []],
  ["   ", []],
])("finds %j", (search, expected) => {
  expect(places(search)).toEqual(expected);
});

it("goes through the nodes from left to right", () => {
  const nodes = hitsIn(definition, catalogue, "st").map(({ nodeId }) => nodeId);
  expect([...new Set(nodes)]).toEqual(["start", "send"]);
});

it("finds notes and groups of the canvas", () => {
  const more = {
    ...definition,
    notes: [{ id: "n1", text: "Needle here", position: { x: 10, y: 20 }, width: 100, height: 40 }],
    groups: [{ id: "g1", name: "Needles", nodes: ["send"] }],
  };
  const [, note, group] = hitsIn(more, catalogue, "needle");
  expect(note).toMatchObject({ owner: "Note", nodeId: null, spot: { x: 60, y: 40 } });
  expect(group).toMatchObject({ owner: "Group Needles", nodeId: "send" });
});

it("takes the search as text, not as a pattern", () => {
  expect(foundIn("a.*b [x] \\ (y)", ".*b [x] \\ (")).toMatchObject({
    before: "a",
    match: ".*b [x] \\ (",
    after: "y)",
  });
  expect(foundIn("abc", ".")).toBeNull();
});

it("shows what is around a match, also where lower case is longer", () => {
  expect(foundIn(`${"x".repeat(50)}\n  key${"y".repeat(99)}`, "KEY")).toEqual({
    before: `…${"x".repeat(27)} `,
    match: "key",
    after: `${"y".repeat(60)}…`,
  });
  expect(foundIn("İİ key", "key")?.match).toBe("key");
});

it("stops at a number of hits, and at deep nesting", () => {
  let deep: unknown = "bottom";
  for (let at = 0; at < 5_000; at += 1) deep = [deep];
  const many = Array.from({ length: 500 }, (_, at) => ({ id: `n${at}`, type: "set", config: { deep } }));
  const hits = hitsIn({ nodes: many, edges: [] } as unknown as Definition, undefined, "n");
  expect(hits).toHaveLength(200);
  expect(countOf(hits, 3)).toBe("4 of 200 or more");
  expect(hitsIn({ nodes: many.slice(0, 1), edges: [] } as unknown as Definition, undefined, "bottom")).toEqual([]);
});

it("says how many there are", () => {
  const hits = hitsIn(definition, catalogue, "needle");
  expect(countOf([], null)).toBe("No match");
  expect(countOf(hits, null)).toBe("1 match");
  expect(countOf(hits, 0)).toBe("1 of 1");
});
