import { expect, it } from "vitest";
import type { FieldSchema } from "../schema/types";
import { byGroup, changed, describe as described, matches, usualIn, withoutOperation } from "./operations";

const schema = (properties: Record<string, FieldSchema>): FieldSchema => ({ type: "object", properties });
const LIST = { id: "list", config_schema: schema({ operation: {}, credential: {}, channel: {} }) };
const POST = { id: "post", config_schema: schema({ operation: {}, credential: {}, channel: {}, text: {} }) };

it("keeps the settings that both operations have, and returns the others on a change back", () => {
  const before = { operation: "post", credential: "A", channel: "#a", text: "Hi" };
  const listing = changed(before, LIST);
  expect(listing.config).toEqual({ operation: "list", credential: "A", channel: "#a" });
  expect(listing.aside).toEqual({ text: "Hi" });
  const back = changed({ ...listing.config, channel: "#b" }, POST, listing.aside);
  expect(back.config).toEqual({ operation: "post", credential: "A", channel: "#b", text: "Hi" });
  expect(back.aside).toEqual({});
});

it("finds an operation by every word of its texts", () => {
  const [one] = described(
    [{ id: "append_row", name: "Append row", group: "Row", also: ["insert"] }],
    [{ id: "append_row", description: "Adds a row below the table." } as never],
  );
  if (one === undefined) throw new Error("nothing described");
  expect(matches(one, "insert row")).toBe(true);
  expect(matches(one, "below")).toBe(true);
  expect(matches(one, "delete row")).toBe(false);
});

it("groups operations in their order", () => {
  const found = byGroup([{ group: "B" }, { group: "A" }, { group: "B" }]);
  expect(found.map(({ group, items }) => [group, items.length])).toEqual([
    ["B", 2],
    ["A", 1],
  ]);
});

it("shows at once what is not marked as advanced, and leaves out the operation", () => {
  const whole = {
    ...schema({ operation: {}, text: {}, timeout: { "x-advanced": true } }),
    required: ["operation", "text"],
  };
  expect([...usualIn(whole)]).toEqual(["operation", "text"]);
  expect(withoutOperation(whole)).toMatchObject({
    required: ["text"],
    properties: { text: {}, timeout: {} },
  });
  expect(withoutOperation(whole).properties).not.toHaveProperty("operation");
});
