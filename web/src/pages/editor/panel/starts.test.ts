import { expect, it } from "vitest";
import type { Catalogue, NodeType } from "@/api/catalogue";
import type { FlowNode } from "@/definition/types";
import { newPath, redacted, respondingByNode, startsOf, testAddressOf, unsentBy } from "./starts";

const types = [
  {
    type: "hook",
    name: "Hook",
    trigger: true,
    description: "Starts.",
    config_schema: {
      properties: { path: { title: "Path", description: "The address, after /api/webhooks/: orders/new" } },
    },
  },
  {
    type: "clock",
    name: "Clock",
    trigger: true,
    description: "Ticks.",
    config_schema: {
      properties: {
        cron: { type: "string" },
        catch_up: {
          title: "Missed runs",
          type: "string",
          enum: ["skip", "run_once"],
          "x-enum-labels": { run_once: "Run once" },
          default: "skip",
        },
        credential: { type: "string", "x-credential": ["http_basic"] },
      },
    },
  },
  {
    type: "feed",
    name: "Feed",
    trigger: true,
    config_schema: {
      properties: {
        url: { title: "Address", type: "string" },
        password: { type: "string", "x-secret": true },
      },
    },
  },
  { type: "log", name: "Log", trigger: false, config_schema: {} },
  {
    type: "shop_poll",
    name: "New in Shop",
    trigger: true,
    config_schema: { properties: { operation: { title: "Event", type: "string" } } },
    operations: [{ id: "list_orders", name: "New order", group: "", also: [] }],
  },
] as unknown as NodeType[];
const catalogue: Catalogue = {
  types,
  broken: [],
  categoryName: (category) => category,
  find: (name) => types.find((type) => type.type === name),
  schemaOf: (node) => types.find((type) => type.type === node.type)?.config_schema,
};

it("lists each trigger with its settings and its address", () => {
  const nodes: FlowNode[] = [
    { id: "a", type: "hook", config: { path: "/orders", methods: ["POST"] } },
    {
      id: "b",
      type: "clock",
      name: "At night",
      config: { cron: "0 3 * * *", catch_up: "skip", credential: "Shop" },
    },
    { id: "f", type: "clock", config: { catch_up: "run_once", unknown: "x" } },
    { id: "c", type: "log" },
    { id: "d", type: "clock", disabled: true },
    { id: "e", type: "hook" },
  ];
  const starts = startsOf({ nodes, edges: [] }, catalogue);
  expect(starts.map(({ name, brief, address }) => ({ name, brief, address }))).toEqual([
    { name: "Hook", brief: "Path: /orders", address: "/api/webhooks/orders" },
    { name: "At night", brief: "At 3:00", address: null },
    { name: "Clock", brief: "Missed runs: Run once", address: null },
    { name: "Hook", brief: "", address: null },
  ]);
});

it("shows no secret in a setting", () => {
  const nodes: FlowNode[] = [
    { id: "a", type: "hook", config: { path: "orders/9f86d081884c7d659a2feaa0c55ad015" } },
    {
      id: "b",
      type: "feed",
      config: { url: "https://ada:hunter2@example.org/news.xml?key=hunter2", password: "hunter2" },
    },
  ];
  expect(startsOf({ nodes, edges: [] }, catalogue).map(({ brief }) => brief)).toEqual([
    "Path: orders/…",
    "Address: https://example.org/news.xml?…",
  ]);
});

it("names the event of a service's trigger", () => {
  const node: FlowNode = { id: "a", type: "shop_poll", config: { operation: "list_orders", every: 60 } };
  expect(startsOf({ nodes: [node], edges: [] }, catalogue)[0]?.brief).toBe("New order");
});

const RESPOND = {
  title: "Response",
  type: "string",
  enum: ["immediately", "last", "node"],
  "x-enum-labels": { immediately: "Immediately", last: "When the run ends", node: "By a Respond node" },
  default: "immediately",
};
const respondTypes = [
  { type: "webhook", name: "Webhook", trigger: true, config_schema: { properties: { respond: RESPOND } } },
  { type: "clock", name: "Clock", trigger: true, config_schema: { properties: {} } },
  { type: "respond", name: "Respond", trigger: false, config_schema: { properties: {} } },
] as unknown as NodeType[];
const respondCatalogue = {
  types: respondTypes,
  find: (type: string) => respondTypes.find((one) => one.type === type),
} as Catalogue;

function unsent(hook: Partial<FlowNode>, answer: Partial<FlowNode> = {}) {
  const node: FlowNode = { id: "answer", type: "respond", ...answer };
  const nodes = [
    { id: "hook", type: "webhook", ...hook },
    { id: "other", type: "webhook" },
    { id: "clock", type: "clock" },
    { id: "log", type: "log" },
    node,
  ];
  const edges = [
    { from: "hook", to: "log" },
    { from: "clock", to: "log" },
    { from: "log", to: "answer" },
  ];
  return unsentBy({ nodes, edges }, respondCatalogue, node);
}

it("names the webhooks before a Respond node that send another response", () => {
  expect(unsent({})).toMatchObject([{ name: "Webhook", title: "Response", now: "Immediately" }]);
  expect(unsent({ name: "Orders", config: { respond: "last" } })).toMatchObject([
    { name: "Orders", now: "When the run ends" },
  ]);
});

it("has the webhook send the node's response, and keeps its other settings", () => {
  const [one] = unsent({ config: { path: "orders", respond: "last" } });
  const config = one && respondingByNode(one);
  expect(config).toEqual({ path: "orders", respond: "node" });
  expect(unsent({ config })).toEqual([]);
});

it("says nothing of disabled nodes, invalid values and other types", () => {
  expect(unsent({ disabled: true })).toEqual([]);
  expect(unsent({}, { disabled: true })).toEqual([]);
  expect(unsent({ config: { respond: "sometimes" } })).toEqual([]);
  expect(unsent({}, { type: "log" })).toEqual([]);
});

it.each([
  "orders/new",
  "v2/new-orders-2024-import",
  "newOrdersFromTheShop",
  "https://example.org:8080/feed.xml",
  "INBOX/Orders",
  "Idempotency-Key",
  "https://example.org/@ada/feed",
  "{{ vars.feed }}",
])("leaves %s as it is", (text) => {
  expect(redacted(text)).toBe(text);
});

it.each([
  ["https://ada:hunter2@example.org/feed", "https://example.org/feed"],
  ["https://hunter2@example.org/feed", "https://example.org/feed"],
  ["https://example.org/feed?key=hunter2&n=5", "https://example.org/feed?…"],
  ["https://example.org/feed#hunter2", "https://example.org/feed?…"],
  ["https://example.org?key=hunter2", "https://example.org?…"],
  ["orders/new?key=hunter2", "orders/new?…"],
  ["hooks/3f2504e0-4f89-11d3-9a0c-0305e82c3301", "hooks/…"],
  ["hooks/9f86d081884c7d659a2feaa0c55ad015/new", "hooks/…/new"],
  ["https://example.org/private/aB3xK9_pQ2-zT7wL/feed.xml", "https://example.org/private/…/feed.xml"],
  ["hooks/qwertzuiopasdfghjklyxcvbnm", "hooks/…"],
  ["JBSWY3DPEHPK3PXP", "…"],
])("tells %s as %s", (text, told) => {
  expect(redacted(text)).toBe(told);
});

it("gives a new trigger a path of the flow's name, or a secret one for a service", () => {
  expect(newPath("webhook", "Bestellungen: Größe & Preis!", false)).toMatch(/^bestellungen-gro-e-preis-[0-9a-f]{6}$/);
  expect(newPath("form", "日本", false)).toMatch(/^form-[0-9a-f]{6}$/);
  expect(newPath("github_trigger", "Anything", true)).toMatch(/^github\/[0-9a-f]{24}$/);
  expect(newPath("webhook", "x".repeat(300), false).length).toBeLessThan(60);
});

it("knows the addresses of tests", () => {
  expect(testAddressOf("wf_1", "/api/webhooks/orders/new")).toBe("/api/webhooks-test/wf_1/orders/new");
  expect(testAddressOf("wf_1", "/forms/contact")).toBe("/forms-test/wf_1/contact");
});
