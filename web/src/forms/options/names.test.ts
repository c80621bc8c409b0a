import { expect, it } from "vitest";
import { folderOf, foldersOf, reasonOf } from "./names";

it("asks the server for the folder that is typed", () => {
  expect(["", "may", "reports/", "reports/2026/ma"].map(folderOf)).toEqual([
    "",
    "",
    "reports/",
    "reports/2026/",
  ]);
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
