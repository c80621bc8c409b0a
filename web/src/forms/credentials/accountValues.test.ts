import { expect, it } from "vitest";
import type { Provider } from "@/api/accounts";
import { chosenScopes, pick, prefill, ready, withoutPrefill } from "./accountValues";

const GITLAB = {
  id: "gitlab",
  authorization_url: "https://gitlab.com/oauth/authorize",
  token_url: "https://gitlab.com/oauth/token",
  revocation_url: null,
  scopes: [
    { value: "api", title: "Everything", default: true },
    { value: "read_api", title: "See everything", default: false },
  ],
} as unknown as Provider;

it("stores only the addresses that differ from those of the service", () => {
  const known = ready(GITLAB);
  const shown = prefill(known, { provider: "gitlab", token_url: "https://git.example.com/oauth/token" });
  expect(shown.authorization_url).toBe("https://gitlab.com/oauth/authorize");
  expect(withoutPrefill(known, shown)).toEqual({
    provider: "gitlab",
    token_url: "https://git.example.com/oauth/token",
  });
  expect(ready(undefined)).toEqual({});
});

it("chooses the usual scopes until others are chosen", () => {
  expect(chosenScopes(GITLAB, undefined)).toEqual(["api"]);
  expect(chosenScopes(GITLAB, "read_api  own")).toEqual(["read_api", "own"]);
});

it("picks properties of a schema", () => {
  const schema = { type: "object", properties: { a: { type: "string" }, b: {} }, required: ["a", "b"] };
  expect(pick(schema, ["a", "c"])).toEqual({
    type: "object",
    properties: { a: { type: "string" } },
    required: ["a"],
  });
});
