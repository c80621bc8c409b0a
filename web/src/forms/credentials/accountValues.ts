/** The values of an OAuth2 account: those of its service need not be stored. */
import type { Provider } from "@/api/accounts";
import type { Json } from "@/definition/types";

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
