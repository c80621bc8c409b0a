import { expect, it } from "vitest";
import { askedOf, filtered, folderOf, foldersOf, labelIn, reasonOf, toggled } from "./choices";

const INPUTS = { spreadsheet: "file", kind: { constant: "x" } };
const SOURCE = { operation: "list_sheets", inputs: INPUTS, needs: ["file"] };
const SCHEMA = {
  properties: { file: { title: "Spreadsheet" }, credential: { title: "Credential" } },
};

it("asks with the settings that the choices depend on, and no others", () => {
  const config = { credential: "A", file: "f1", text: "{{ input.text }}", address: "" };
  expect(askedOf(SOURCE, config, true, SCHEMA)).toEqual({ config: { credential: "A", file: "f1" } });
});

it("says why the service cannot be asked", () => {
  expect(askedOf(SOURCE, { file: "f1" }, true, SCHEMA)).toEqual({ reason: "Connect an account first." });
  expect(askedOf(SOURCE, { file: "f1" }, false, SCHEMA)).toHaveProperty("config");
  expect(askedOf(SOURCE, { file: "" }, false, SCHEMA)).toEqual({ reason: "Fill in Spreadsheet first." });
  const computed = askedOf(SOURCE, { credential: "A", file: "{{ input.file }}" }, true, SCHEMA);
  expect(computed).toMatchObject({ reason: expect.stringContaining("Spreadsheet is an expression") });
});

it("searches labels and values", () => {
  const items = [
    { value: "C1", label: "general" },
    { value: "C2", label: "random talk" },
  ];
  expect(filtered(items, "talk ran")).toEqual([items[1]]);
  expect(filtered(items, "c1")).toEqual([items[0]]);
  expect(filtered(items, " ")).toEqual(items);
});

it("names a value by its label if that says more", () => {
  const items = [
    { value: "C1", label: "general" },
    { value: "mine", label: "mine" },
  ];
  expect(["C1", "mine", "C9"].map((value) => labelIn(items, value))).toEqual(["general", undefined, undefined]);
});

it("adds a chosen value at the end, and removes one that was chosen", () => {
  expect(toggled(["a"], "b")).toEqual(["a", "b"]);
  expect(toggled([1, "b", "1"], "1")).toEqual(["b"]);
});

it("asks the server for the folder that is typed", () => {
  expect(["", "may", "reports/", "reports/2026/ma"].map(folderOf)).toEqual(["", "", "reports/", "reports/2026/"]);
});

it("lists each folder once", () => {
  expect(foldersOf(["b/c/1.txt", "a.txt", "b/2.txt", "b/c/3.txt"])).toEqual(["b/", "b/c/"]);
});

it("says why columns cannot be listed", () => {
  expect(reasonOf("column", {})).toBe("Choose a table first.");
  expect(reasonOf("column", { table: "{{ input.table }}" })).toContain("expression");
  expect(reasonOf("column", { table: "orders" })).toBeUndefined();
  expect(reasonOf("table", {})).toBeUndefined();
});
