import { expect, it } from "vitest";
import type { Credential } from "@/api/credentials";
import { fitsService, hostIn, hostsIn, hostsNotIn, withVariables } from "./hosts";

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
  expect(hostsIn(withVariables(config, { shop: "https://API.shop.com/v1", most: 5 }))).toEqual([
    "API.shop.com",
  ]);
  expect(hostsIn(withVariables(config, undefined))).toEqual([]);
  const hosts = ["api.shop.com", "shop.com", "other.org"];
  expect(hostsNotIn(hosts, ["*.Shop.com"])).toEqual(["shop.com", "other.org"]);
  expect(hostsNotIn(hosts, ["shop.com", "api.shop.com", "other.org"])).toEqual([]);
});

it("tells a credential for another service", () => {
  const token = (hosts: string[] | null) =>
    ({ type: "http_bearer", hosts, connection: null }) as unknown as Credential;
  const account = (provider: string | null) =>
    ({ type: "oauth2", hosts: ["slack.com"], connection: { provider } }) as unknown as Credential;
  const github = [
    { type: "http_bearer", hosts: ["api.github.com", "uploads.github.com"] },
    { type: "oauth2", provider: "github" },
  ];
  expect(fitsService(token(["api.airtable.com"]), github)).toBe(false);
  expect(fitsService(token(["*.github.com"]), github)).toBe(true);
  expect(fitsService(token(null), github)).toBe(true);
  expect(
    fitsService(token(["my.host"]), [{ type: "http_bearer", host: { title: "Host" }, hosts: ["a.com"] }]),
  ).toBe(true);
  expect(fitsService(account("slack"), github)).toBe(false);
  expect(fitsService(account("github"), github)).toBe(true);
  expect(fitsService(account("custom"), github)).toBe(true);
});
