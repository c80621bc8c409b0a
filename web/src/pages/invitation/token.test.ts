// @vitest-environment jsdom
import { beforeEach, expect, it } from "vitest";
import { forgetToken, keptToken, takeToken } from "./token";

beforeEach(forgetToken);

it("moves the token from the address to the tab until it is used", () => {
  window.history.replaceState(null, "", "/invitation#abc_123");
  expect(takeToken()).toBe(true);
  expect(window.location.href).not.toContain("abc_123");
  expect(window.location.pathname).toBe("/invitation");
  // After a reload the address contains no token.
  expect(takeToken()).toBe(false);
  expect(keptToken()).toBe("abc_123");
  forgetToken();
  expect(keptToken()).toBeNull();
});

it("leaves other addresses unchanged", () => {
  window.history.replaceState(null, "", "/flows#content");
  expect(takeToken()).toBe(false);
  expect(window.location.hash).toBe("#content");
  expect(keptToken()).toBeNull();
});
