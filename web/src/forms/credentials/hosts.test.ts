import { expect, it } from "vitest";
import { hostIn, hostsIn } from "./hosts";

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
