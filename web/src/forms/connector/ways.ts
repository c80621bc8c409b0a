/** The ways to authenticate with a service: the initial values of a new credential, and the fields to fill in; pure. */
import type { Auth } from "@/api/connectors";
import type { CredentialType } from "@/api/credentials";
import type { Json } from "@/definition/types";
import type { FieldSchema } from "../schema/types";

type Data = Record<string, Json>;

const TITLES: Record<string, string> = {
  oauth2: "Connect an account",
  google_service_account: "Service account",
  http_bearer: "Access token",
  http_header: "API key",
  http_headers: "API keys",
  http_query: "API key",
  http_basic: "User name and password",
  secret: "API key",
};

/** Return the name of a way, such as "Bot token". */
export function titleOfWay(way: Auth, types: readonly CredentialType[]): string {
  return way.title ?? TITLES[way.type] ?? types.find((one) => one.type === way.type)?.name ?? way.type;
}

/** Return the values that are known in advance. */
export function presetOf(way: Auth): Data {
  if (way.type === "http_header" && way.header !== undefined) return { name: way.header };
  const pairs = Object.fromEntries((way.names ?? []).map((name) => [name, ""]));
  if (way.type === "http_headers") return { headers: pairs };
  if (way.type === "http_query") return { parameters: pairs };
  const data: Data = {};
  if (way.provider !== undefined) data.provider = way.provider;
  if (way.scopes !== undefined) data.scope = way.scopes.join(" ");
  return data;
}

/** Return the type with the way's own titles, without fields that are known. */
export function typeFor(way: Auth, type: CredentialType): CredentialType {
  const schema = type.schema as FieldSchema;
  const hidden = way.type === "http_header" && way.header !== undefined ? ["name"] : [];
  const own: Record<string, { title?: string; help?: string } | undefined> = {
    username: way.username,
    password: way.password,
  };
  const properties = Object.entries(schema.properties ?? {})
    .filter(([key]) => !hidden.includes(key))
    .map(([key, one]) => {
      const { title = one.title, help = one.description } = own[key] ?? {};
      // The help of the way says more than "The bearer token".
      return [key, { ...one, title, description: own[key] === undefined ? one.description : (help ?? "") }];
    });
  const required = schema.required?.filter((key) => !hidden.includes(key));
  return { ...type, schema: { ...schema, properties: Object.fromEntries(properties), required } };
}

/** Return the first free name: "Slack", "Slack 2". */
export function freeName(name: string, taken: readonly string[]): string {
  for (let number = 1; ; number += 1) {
    const wanted = number === 1 ? name : `${name} ${number}`;
    if (!taken.includes(wanted)) return wanted;
  }
}
