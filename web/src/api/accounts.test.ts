// @vitest-environment jsdom
import { expect, it } from "vitest";
import { safeAddress } from "./accounts";

it("opens only web pages, encrypted unless they are on this machine", () => {
  expect(safeAddress("https://login.example.com/a?b=c")).toBe("https://login.example.com/a?b=c");
  expect(safeAddress("http://127.0.0.1:9000/a")).toBe("http://127.0.0.1:9000/a");
  expect(safeAddress("http://login.example.com/a")).toBeNull();
  expect(safeAddress("javascript:alert(1)")).toBeNull();
  expect(safeAddress("")).toBeNull();
});
