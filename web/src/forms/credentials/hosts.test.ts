import { expect, it } from "vitest";
import type { Provider } from "@/api/accounts";
import type { Credential } from "@/api/credentials";
import {
  chosenScopes,
  fitsService,
  hostIn,
  hostsIn,
  hostsNotIn,
  pick,
  prefill,
  ready,
  withoutPrefill,
  withVariables,
} from "./hosts";

it("extracts the host from a pasted address", () => {
  expect(hostIn(" https://api.example.com:8443/v1?x=1 ")).toBe("api.example.com");
  expect(hostIn("*.example.com")).toBe("*.example.com");
  expect(hostIn("http://[")).toBe("http://[");
});

it("finds the hosts in a node's settings, without duplicates", () => {
  const config = {
    url: "https://api.example.com/orders/{{ input.id }}",
    next: "https://api.example.com/more",
    odd: "https://{{ input.host }}/a",
    n: 1,
  };
  expect(hostsIn(config)).toEqual(["api.example.com"]);
  expect(hostsIn(undefined)).toEqual([]);
});

it("finds hosts in variables, and those that a credential may not be sent to", () => {
  const config = {
    url: "{{ vars.shop }}/orders",
    other: "{{ vars.most }} https://x.org",
    list: ["https://y.org"],
  };
  expect(hostsIn(withVariables(config, { shop: "https://API.shop.com/v1", most: 5 }))).toEqual(["API.shop.com"]);
  expect(hostsIn(withVariables(config, undefined))).toEqual([]);
  const hosts = ["api.shop.com", "shop.com", "other.org"];
  expect(hostsNotIn(hosts, ["*.Shop.com"])).toEqual(["shop.com", "other.org"]);
  expect(hostsNotIn(hosts, ["shop.com", "api.shop.com", "other.org"])).toEqual([]);
});

it("tells a credential for another service", () => {
  const token = (hosts: string[] | null) => ({ type: "http_bearer", hosts, connection: null }) as unknown as Credential;
  const account = (provider: string | null) =>
    ({ type: "oauth2", hosts: ["slack.com"], connection: { provider } }) as unknown as Credential;
  const github = [
    { type: "http_bearer", hosts: ["api.github.com", "uploads.github.com"] },
    { type: "oauth2", provider: "github" },
  ];
  expect(fitsService(token(["api.airtable.com"]), github)).toBe(false);
  expect(fitsService(token(["*.github.com"]), github)).toBe(true);
  expect(fitsService(token(null), github)).toBe(true);
  expect(fitsService(token(["my.host"]), [{ type: "http_bearer", host: { title: "Host" }, hosts: ["a.com"] }])).toBe(
    true,
  );
  expect(fitsService(account("slack"), github)).toBe(false);
  expect(fitsService(account("github"), github)).toBe(true);
  expect(fitsService(account("custom"), github)).toBe(true);
});

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
