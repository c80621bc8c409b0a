// @vitest-environment jsdom
import { expect, it } from "vitest";
import type { CredentialType } from "@/api/credentials";
import { freeName, presetOf, titleOfWay, typeFor } from "./ConnectDialog";

const BASIC = {
  type: "http_basic",
  name: "HTTP basic",
  schema: {
    type: "object",
    required: ["username", "password"],
    properties: {
      username: { title: "User name", description: "The user name" },
      password: { title: "Password" },
    },
  },
} as unknown as CredentialType;
const HEADER = {
  type: "http_header",
  name: "HTTP header",
  schema: {
    type: "object",
    required: ["name", "value"],
    properties: { name: { title: "Header" }, value: { title: "Value" } },
  },
} as unknown as CredentialType;

it("fills in what is known of a credential", () => {
  expect(presetOf({ type: "oauth2", provider: "google", scopes: ["a", "b"] })).toEqual({
    provider: "google",
    scope: "a b",
  });
  expect(presetOf({ type: "http_header", header: "X-Key" })).toEqual({ name: "X-Key" });
  expect(presetOf({ type: "http_query", names: ["key", "token"] })).toEqual({
    parameters: { key: "", token: "" },
  });
  expect(presetOf({ type: "http_headers", names: ["X-A"] })).toEqual({ headers: { "X-A": "" } });
  expect(presetOf({ type: "http_bearer" })).toEqual({});
});

it("asks in the words of the service, and not for what is known", () => {
  const basic = typeFor({ type: "http_basic", username: { title: "E-mail" } }, BASIC).schema;
  expect(basic).toMatchObject({
    properties: { username: { title: "E-mail" }, password: { title: "Password" } },
  });
  const header = typeFor({ type: "http_header", header: "X-Key" }, HEADER).schema;
  expect(header).toMatchObject({ required: ["value"] });
  expect(header.properties).not.toHaveProperty("name");
});

it("names the ways and the credential", () => {
  expect(titleOfWay({ type: "http_bearer", title: "Bot token" }, [])).toBe("Bot token");
  expect(titleOfWay({ type: "http_bearer" }, [])).toBe("Access token");
  expect(titleOfWay({ type: "http_basic" }, [BASIC])).toBe("User name and password");
  expect(titleOfWay({ type: "http_digest" }, [{ ...BASIC, type: "http_digest", name: "Digest" }])).toBe("Digest");
  expect(freeName("Slack", ["Slack", "Slack 2"])).toBe("Slack 3");
});
