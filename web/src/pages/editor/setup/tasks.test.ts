// @vitest-environment jsdom
import { describe, expect, it } from "vitest";
import type { Catalogue } from "@/api/catalogue";
import type { Definition } from "@/definition/types";
import { tasksOf } from "./tasks";

const TYPES = {
  http: {
    name: "HTTP request",
    config_schema: { properties: { url: {}, credential: { "x-credential": ["http_bearer"] } } },
  },
  webhook: { name: "Webhook", config_schema: { properties: { path: {} } } },
};
const CATALOGUE = { find: (type: string) => TYPES[type as keyof typeof TYPES] } as unknown as Catalogue;

const FLOW: Definition = {
  nodes: [
    { id: "hook", type: "webhook", config: { path: "in" } },
    {
      id: "call",
      type: "http",
      name: "Call the shop",
      config: { url: "{{ vars.shop }}/x", credential: "shop" },
    },
    { id: "told", type: "http", config: { url: "https://chat.example.org/in" } },
  ],
  edges: [],
  settings: { vars: { shop: "https://shop.example.com/api", most: 5 } },
};
const ORIGIN = {
  definition: FLOW,
  credentials: [{ name: "shop", type: "http_bearer", for: "reading orders" }],
};
const SETUP = {
  definition: FLOW,
  catalogue: CATALOGUE,
  origin: ORIGIN,
  credentials: [],
  problems: [],
  hasRun: false,
  isActive: false,
  starts: true,
};
const brief = (setup: typeof SETUP) => tasksOf(setup).map((task) => `${task.done ? "done" : "open"} ${task.id}`);

describe("the tasks of a flow made from a template", () => {
  it("are its credentials, the addresses of examples, a run and the activation", () => {
    expect(brief(SETUP)).toEqual([
      "open credential shop",
      "open variable shop",
      "open setting told url",
      "open run",
      "open activate",
    ]);
    expect(tasksOf(SETUP)[0]).toMatchObject({ types: ["http_bearer"], purpose: "reading orders" });
  });

  it("stay in the list when they are done", () => {
    const [hook, call, told] = FLOW.nodes as [Definition["nodes"][0], Definition["nodes"][0], Definition["nodes"][0]];
    const definition = {
      ...FLOW,
      nodes: [hook, call, { ...told, config: { url: "https://chat.us.net/in" } }],
      settings: { vars: { shop: "https://shop.us.net" } },
    };
    const credentials = [{ name: "shop", type: "http_bearer" }];
    expect(brief({ ...SETUP, definition, credentials, hasRun: true, isActive: true } as never)).toEqual([
      "done credential shop",
      "done variable shop",
      "done setting told url",
      "done run",
      "done activate",
    ]);
  });

  it("ask for no credential that the flow does not use any more, nor for one of a wrong type", () => {
    const definition = { ...FLOW, nodes: FLOW.nodes.slice(0, 1), settings: {} };
    expect(brief({ ...SETUP, definition })).toEqual(["open run", "open activate"]);
    expect(brief({ ...SETUP, credentials: [{ name: "shop", type: "smtp" }] } as never)[0]).toBe("open credential shop");
  });

  it("are the accounts of services by any of their types, and what every user chooses", () => {
    const post = { id: "post", type: "chat", name: "Post it", config: { credential: "Chat" } };
    const types = {
      chat: {
        name: "Chat",
        mark: {},
        config_schema: { properties: { credential: { "x-credential": ["oauth2", "http_bearer"] } } },
      },
    };
    const schema = { properties: { channel: {}, thread: {}, sort: { default: "new" } }, required: ["channel"] };
    const catalogue = { find: (type: string) => types[type as "chat"], schemaOf: () => schema };
    const open = (config: object, credentials: object[] = []) => {
      const definition = { nodes: [{ ...post, config: { ...post.config, ...config } }], edges: [] };
      const needed = {
        credentials: [{ name: "Chat", type: "oauth2", for: "Post it" }],
        choose: { post: ["channel", "thread"] },
      };
      const origin = { definition: FLOW, ...needed };
      const missing = {
        level: "error",
        message: "is required",
        path: "nodes[0].config.channel",
        nodeId: "post",
        field: "config.channel",
      };
      const setup = { ...SETUP, definition, catalogue, origin, credentials, problems: [missing] };
      return brief(setup as never);
    };
    expect(open({})).toEqual(["open credential Chat", "open choose post", "open run", "open activate"]);
    const kept = [{ name: "Chat", type: "http_bearer" }];
    expect(open({ channel: "#general" }, kept).slice(0, 2)).toEqual(["done credential Chat", "done choose post"]);
  });

  it("contain errors, and need no template", () => {
    const error = {
      level: "error",
      message: "is required",
      path: "nodes[0].config.path",
      nodeId: "hook",
      field: "config.path",
    };
    const warning = { ...error, level: "warning", message: "may not exist" };
    const found = tasksOf({
      ...SETUP,
      origin: undefined,
      starts: false,
      problems: [error, warning],
    } as never);
    expect(found.map(({ id }) => id)).toEqual([
      "credential shop",
      "variable shop",
      "setting told url",
      "problem nodes[0].config.path is required",
      "run",
    ]);
  });
});
