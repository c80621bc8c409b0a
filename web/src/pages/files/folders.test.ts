import { expect, it } from "vitest";
import { addressOf, type FileEntry, trail, within } from "./folders";

const entry = (path: string) => ({ path, name: path.split("/").at(-1) }) as FileEntry;

it("shows the files of a folder, and each subfolder once", () => {
  const entries = ["a.csv", "reports/2026/may.csv", "reports/june.csv", "reports/july.csv"].map(entry);
  const top = within("", entries);
  expect(top.folders).toEqual([{ name: "reports", path: "reports/" }]);
  expect(top.files.map((file) => file.name)).toEqual(["a.csv"]);
  const reports = within("reports/", entries);
  expect(reports.folders).toEqual([{ name: "2026", path: "reports/2026/" }]);
  expect(reports.files.map((file) => file.name)).toEqual(["june.csv", "july.csv"]);
});

it("lists the parent folders", () => {
  expect(trail("a/b/").map(({ path }) => path)).toEqual(["a/", "a/b/"]);
  expect(trail("")).toEqual([]);
});

it("escapes the name of a file in its address", () => {
  expect(addressOf("a b/50 %?.csv", "ws_1")).toBe("/api/files/a%20b/50%20%25%3F.csv?workspace_id=ws_1");
});
