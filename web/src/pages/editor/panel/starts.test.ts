import { expect, it } from "vitest";
import type { Catalogue, NodeType } from "@/api/catalogue";
import type { FlowNode } from "@/definition/types";
import { startsOf } from "./starts";

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
