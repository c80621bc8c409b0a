import { expect, it } from "vitest";
import type { Catalogue } from "@/api/catalogue";
import { checkOf, inWords } from "./problems";

const schema = { properties: { url: { title: "URL" } } };
const catalogue = { schemaOf: () => schema } as unknown as Catalogue;
const definition = { nodes: [{ id: "call", type: "http" }], edges: [] };

it("names settings by their titles", () => {
  const detail = (path: string, message: string) => ({ path, message, level: "error" as const });
  const details = [
    detail("nodes[0].config.url", "is required"),
    detail("nodes[0].config.url", "must be an address"),
    detail("nodes[0].config.odd", "is unknown"),
    detail("nodes[0].retry.attempts", "must be at most 10"),
    detail("nodes", "must not be empty"),
  ];
  const words = (known?: Catalogue) => checkOf(definition, details as never, {}, known).problems.map(inWords);
  const others = ["odd: is unknown", "retry.attempts: must be at most 10", "nodes: must not be empty"];
  expect(words(catalogue)).toEqual(["URL is required", "URL: must be an address", ...others]);
  expect(words()).toEqual(["url: is required", "url: must be an address", ...others]);
});
