import { expect, it } from "vitest";
import type { Catalogue, NodeType } from "@/api/catalogue";
import type { FlowNode } from "@/definition/types";
import { respondingByNode, unsentBy } from "./responses";

const RESPOND = {
  title: "Response",
  type: "string",
  enum: ["immediately", "last", "node"],
  "x-enum-labels": { immediately: "Immediately", last: "When the run ends", node: "By a Respond node" },
  default: "immediately",
};
const types = [
  { type: "webhook", name: "Webhook", trigger: true, config_schema: { properties: { respond: RESPOND } } },
  { type: "clock", name: "Clock", trigger: true, config_schema: { properties: {} } },
  { type: "respond", name: "Respond", trigger: false, config_schema: { properties: {} } },
] as unknown as NodeType[];
const catalogue = { types, find: (type: string) => types.find((one) => one.type === type) } as Catalogue;

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
  return unsentBy({ nodes, edges }, catalogue, node);
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
