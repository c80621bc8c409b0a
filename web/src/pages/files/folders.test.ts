import { expect, it } from "vitest";
import { addressOf, canShow, trail } from "./folders";

it("lists the parent folders", () => {
  expect(trail("a/b/").map(({ path }) => path)).toEqual(["a/", "a/b/"]);
  expect(trail("")).toEqual([]);
});

it("escapes the name of a file in its address", () => {
  expect(addressOf("a b/50 %?.csv", "ws_1")).toBe("/api/files/a%20b/50%20%25%3F.csv?workspace_id=ws_1");
});

it("shows what the server sends to be shown", () => {
  expect(["text/csv", "application/json", "image/png", "application/pdf"].every(canShow)).toBe(true);
  expect(["image/svg+xml", "application/zip", ""].some(canShow)).toBe(false);
});
