/** The allowed hosts of a credential, as users enter them; pure. */

import type { Provider } from "@/api/accounts";
import type { Auth } from "@/api/connectors";
import type { Credential } from "@/api/credentials";
import type { Json } from "@/definition/types";

/** Return the host of a pasted address. */
export function hostIn(text: string): string {
  const typed = text.trim();
  if (!typed.includes("://")) return typed;
  try {
    return new URL(typed).hostname;
  } catch {
    return typed;
  }
}

/** Return the hosts in a node's settings: a credential created for the node will be sent to them. */
export function hostsIn(config: Record<string, unknown> | undefined): string[] {
  const found = new Set<string>();
  for (const value of Object.values(config ?? {})) {
    const host = typeof value === "string" ? /^https?:\/\/([^/?#\s:{}]+)(?=[/?#:]|$)/.exec(value)?.[1] : undefined;
    if (host !== undefined) found.add(host);
  }
  return [...found];
}

const VARIABLE = /\{\{\s*vars\.(\w+)\s*\}\}/g;

/** Return the settings with the text of variables in place of `{{ vars.name }}`. */
export function withVariables(
  config: Record<string, unknown> | undefined,
  vars: Record<string, unknown> | undefined,
): Record<string, unknown> {
  const fill = (text: string) =>
    text.replace(VARIABLE, (whole, name: string) => {
      const value = vars?.[name];
      return typeof value === "string" ? value : whole;
    });
  return Object.fromEntries(
    Object.entries(config ?? {}).map(([key, value]) => [key, typeof value === "string" ? fill(value) : value]),
  );
}

/** Return the hosts that are none of the allowed ones: names, or `*.example.com` for subdomains. */
export function hostsNotIn(hosts: readonly string[], allowed: readonly string[]): string[] {
  const known = allowed.map((one) => one.toLowerCase());
  return hosts.filter((one) => {
    const host = one.toLowerCase();
    return !known.some((name) => host === name || (name.startsWith("*.") && host.endsWith(name.slice(1))));
  });
}

/** Return true unless the credential is known to be for another service than the one with these ways to connect. */
export function fitsService({ type, hosts, connection }: Credential, auth: readonly Auth[]): boolean {
  const ways = auth.filter((way) => way.type === type);
  const providers = ways.flatMap((way) => way.provider ?? []);
  const provider = connection?.provider ?? "custom";
  if (providers.length > 0) return provider === "custom" || providers.includes(provider);
  const needed = ways.flatMap((way) => way.hosts ?? []);
  // A service at an address of the user has no known host.
  if (!Array.isArray(hosts) || hosts.length === 0 || needed.length === 0) return true;
  return ways.some((way) => way.host !== undefined) || hostsNotIn(needed, hosts.map(String)).length < needed.length;
}

// The values of an OAuth2 account: those of its service need not be stored.

type Data = Record<string, Json>;

/** Return the addresses of a service, to show them in the form. */
export function ready(provider: Provider | undefined): Data {
  if (provider === undefined) return {};
  const { authorization_url, token_url, revocation_url } = provider;
  return { authorization_url, token_url, ...(revocation_url === null ? {} : { revocation_url }) };
}

/** Return the values with those of the service where there is none. */
export function prefill(ready: Data, data: Data): Data {
  return { ...ready, ...data };
}

/** Return the values that differ from those of the service: a correction of the others then reaches the credential. */
export function withoutPrefill(ready: Data, data: Data): Data {
  return Object.fromEntries(Object.entries(data).filter(([name, value]) => ready[name] !== value));
}

/** Return the scopes of the text, or the usual ones of the service. */
export function chosenScopes(provider: Provider, text: string | undefined): string[] {
  if (text === undefined) return provider.scopes.filter((one) => one.default).map((one) => one.value);
  return text.split(/\s+/).filter((one) => one !== "");
}

/** Return the schema of an object with only these properties, in this order. */
export function pick(schema: unknown, names: readonly string[]): unknown {
  const whole = schema as { properties?: Record<string, unknown>; required?: string[] };
  const properties = Object.fromEntries(
    names.flatMap((name) => (whole.properties?.[name] === undefined ? [] : [[name, whole.properties[name]]])),
  );
  return { ...whole, properties, required: whole.required?.filter((name) => names.includes(name)) ?? [] };
}
