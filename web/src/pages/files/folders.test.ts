import { expect, it } from "vitest";
import { addressOf, type FileEntry, trail, within } from "./folders";

const entry = (path: string) => ({ path, name: path.split("/").at(-1) }) as FileEntry;

it("shows what lies directly in a folder, and what lies deeper as its folder, once", () => {
  const entries = ["a.csv", "reports/2026/may.csv", "reports/june.csv", "reports/july.csv"].map(entry);
  const top = within("", entries);
  expect(top.folders).toEqual([{ name: "reports", path: "reports/" }]);
  expect(top.files.map((file) => file.name)).toEqual(["a.csv"]);
  const reports = within("reports/", entries);
  expect(reports.folders).toEqual([{ name: "2026", path: "reports/2026/" }]);
  expect(reports.files.map((file) => file.name)).toEqual(["june.csv", "july.csv"]);
});

it("leads to a folder by those above it", () => {
  expect(trail("a/b/").map(({ path }) => path)).toEqual(["a/", "a/b/"]);
  expect(trail("")).toEqual([]);
});

it("names a file in an address whatever is in its name", () => {
  expect(addressOf("a b/50 %?.csv", "ws_1")).toBe("/api/files/a%20b/50%20%25%3F.csv?workspace_id=ws_1");
});
