/** Test schemas with all kinds of settings, as in the catalog. */
import type { NodeType } from "@/api/catalogue";
import type { FieldSchema } from "./schema/types";

function type(name: string, properties: Record<string, FieldSchema>, more: object = {}): NodeType {
  return {
    type: name,
    name,
    category: "data",
    description: "A type for tests.",
    also: [],
    branches: [],
    trigger: false,
    pure: true,
    own: false,
    config_schema: { type: "object", properties, additionalProperties: false, ...more },
    examples: [],
    extra: null,
    install: null,
  } as unknown as NodeType;
}

const text: FieldSchema = { type: "string", description: "Some text" };

export const TYPES = {
  nothing: type("nothing", {}),
  call: type(
    "call",
    {
      url: { type: "string", minLength: 1, description: "The address: https://example.com" },
      method: {
        title: "Method",
        type: "string",
        default: "GET",
        enum: ["GET", "POST"],
        "x-enum-labels": { GET: "GET", POST: "POST" },
      },
      headers: { title: "Headers", type: "object", additionalProperties: { type: "string" } },
      body: { description: "What to send, any JSON" },
      timeout: { title: "Timeout", type: "number", default: 30, minimum: 0.1, "x-literal": true },
      follow: { type: "boolean", default: true, "x-literal": true },
      amount: { title: "Amount", type: "integer" },
      pages: {
        type: "object",
        "x-literal": true,
        required: ["type"],
        properties: {
          type: { type: "string", enum: ["cursor", "next_link"] },
          size: { type: "integer" },
          limit: { type: "integer", default: 100 },
        },
      },
    },
    { required: ["url"] },
  ),
  named: type("named", {
    table: { title: "Table", type: "string", "x-names": "table" },
    file: { title: "File", "x-names": "file" },
    later: { title: "Later", type: "string", "x-names": "of a later version" },
  }),
  lists: type("lists", {
    cases: { type: "array", items: {}, "x-literal": true },
    by: { type: ["array", "string"], items: { type: "string" }, "x-literal": true, default: [] },
    tags: { type: "array", items: { type: "string" } },
    labels: {
      title: "Labels",
      type: ["array", "null"],
      items: { type: "string" },
      "x-options": { operation: "list_labels" },
    },
    methods: {
      type: "array",
      default: ["POST"],
      items: { type: "string", enum: ["GET", "POST"] },
      "x-literal": true,
    },
    sums: {
      type: "object",
      "x-literal": true,
      additionalProperties: {
        type: "object",
        required: ["op"],
        properties: { op: { type: "string", enum: ["sum", "count"] }, field: text },
      },
    },
    rules: { type: "array", items: { type: "object", properties: { when: text, what: text } } },
  }),
  codes: type("codes", {
    source: { type: "string", "x-literal": true, "x-language": "python" },
    schema: { type: "object", additionalProperties: {}, "x-literal": true },
    cron: { type: "string", "x-literal": true },
    timezone: { type: "string", "x-literal": true },
    version: { type: "integer", default: 4, enum: [4, 7], "x-literal": true },
  }),
  shaped: type("shaped", {
    shape: {
      title: "Shape",
      type: "object",
      additionalProperties: {},
      "x-literal": true,
      "x-holds": "json-schema",
    },
  }),
  condition: type("condition", {
    condition: { title: "Condition", "x-multiline": true, "x-language": "jinja" },
  }),
  choice: type("choice", {
    auth: {
      oneOf: [
        { title: "A name", type: "object", required: ["name"], properties: { name: text } },
        {
          title: "A number",
          type: "object",
          required: ["number"],
          properties: { number: { type: "integer" } },
        },
      ],
    },
    either: { anyOf: [{ type: "string" }, { type: "number" }] },
  }),
};
