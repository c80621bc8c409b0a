import { expect, it } from "vitest";
import type { Described } from "./fields";
import { describedBy, describedIn, fieldOf, foreignIn, isShown, keyIn, matched } from "./fields";

function fields(...names: (string | Described)[]) {
  return names.map((one) => fieldOf(typeof one === "string" ? { value: one, label: one } : one));
}

it("makes an input for the type of each field, and lets it have an expression", () => {
  const of = (schema: Described["schema"]) => fieldOf({ value: "a", label: "A", schema }).leaf;
  expect(of({ type: "string" })).toMatchObject({ kind: "text", label: "A", literal: false });
  expect(of({ type: "string", format: "date" }).kind).toBe("date");
  expect(of({ type: "number" }).kind).toBe("number");
  expect(of({ type: "array", items: { enum: ["a", "b"] } })).toMatchObject({ kind: "choices", choices: ["a", "b"] });
  expect(of({ enum: [1, 2], "x-enum-labels": { 1: "One" } })).toMatchObject({ kind: "choice", choices: [1, 2] });
  expect(of({ properties: { inner: {} } }).kind).toBe("any");
  // A switch has no state for "no value".
  expect(of({ type: "boolean" })).toMatchObject({ kind: "choice", choices: [true, false] });
});

it("matches fields and keys without case, spaces, underscores and hyphens", () => {
  const asked = fields("Full name", "E-Mail", "order_id", "Notes");
  const input = { FULL_NAME: "Ann", email: "a@b.c", orderId: 7 };
  expect(matched(asked, { "E-Mail": "typed" }, input, "input")).toEqual({
    "Full name": "{{ input.FULL_NAME }}",
    order_id: "{{ input.orderId }}",
  });
});

it("takes the least nested key, and the label if no key has the name", () => {
  const input = { body: { name: "deep", "phone number": "1" }, name: "top", rows: [{ city: "in a list" }] };
  const asked = fields("name", { value: "fld1", label: "Phone Number" }, "city");
  expect(matched(asked, {}, input, "item")).toEqual({
    name: "{{ item.name }}",
    fld1: '{{ item.body["phone number"] }}',
  });
  expect(matched(asked, {}, [input], "input")).toEqual({});
  expect(matched(asked, {}, undefined, "input")).toEqual({});
});

it("keeps a value under the other name of its field, and finds values of no field", () => {
  const asked = fields({ value: "Name", also: "fld1", label: "Name" }, "City");
  const [name] = asked;
  if (name === undefined) throw new Error("no field");
  expect([keyIn(name, { fld1: "x" }), keyIn(name, { fld1: "x", Name: "y" }), keyIn(name, {})]).toEqual([
    "fld1",
    "Name",
    "Name",
  ]);
  expect(foreignIn(asked, { fld1: "x", City: "y", Gone: "z" })).toEqual(["Gone"]);
  expect(matched(asked, { fld1: "x" }, { name: 1, city: 2 }, "input")).toEqual({ City: "{{ input.city }}" });
});

it("folds optional fields without a value if there are many", () => {
  const many = fields(...Array.from({ length: 21 }, (_, at) => `f${at}`), {
    value: "must",
    label: "M",
    required: true,
  });
  expect(many.filter((one) => isShown(one, many, { f3: "" })).map((one) => one.name)).toEqual(["f3", "must"]);
  const few = many.slice(0, 20);
  expect(few.every((one) => isShown(one, few, {}))).toBe(true);
});

it("reads the fields of an input schema and the columns of a table", () => {
  const schema = { properties: { a: { type: "string" }, b: { title: "Bee", type: "number" } }, required: ["b"] };
  expect(describedIn(schema).map(({ value, label, required }) => [value, label, required])).toEqual([
    ["b", "Bee", true],
    ["a", "a", false],
  ]);
  expect(describedIn(null)).toEqual([]);
  const columns = describedBy([
    { name: "due", type: "date" },
    { name: "raw", type: "json" },
  ]);
  expect(columns.map((one) => fieldOf(one).leaf.kind)).toEqual(["datetime", "any"]);
});
