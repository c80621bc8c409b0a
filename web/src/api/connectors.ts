/** Connectors: services described by data. The catalog names their operations; the rest is loaded per connector. */
import { useQuery } from "@tanstack/react-query";
import type { Json } from "@/definition/types";
import type { FieldSchema } from "@/forms/schema/types";
import { server } from "./client";

/** One way to authenticate with a service: the settings of a credential that are known in advance. */
export interface Auth {
  /** The credential's type. */
  type: string;
  title?: string;
  /** What to enter. */
  help?: string;
  /** The page of the service on which the key or token is made. */
  link?: string;
  hosts?: string[];
  /** The service runs at an address of the user: what to ask for. */
  host?: { title: string; example?: string };
  provider?: string;
  scopes?: string[];
  /** The name of the header with the key. */
  header?: string;
  /** The names of the query parameters or headers. */
  names?: string[];
  /** Text in front of the key, such as "Token ". */
  prefix?: string;
  username?: { title?: string; help?: string };
  password?: { title?: string; help?: string };
}

export interface ConnectorOperation {
  id: string;
  name: string;
  group: string;
  description: string;
  /** The service's own page about it. */
  docs: string | null;
  list: boolean;
  /** The permissions that it needs, besides those of the connector. */
  scopes: string[];
  /** The JSON Schema of the node's whole config under this operation. */
  config_schema: FieldSchema;
  /** A config and its output. */
  example: { config: Record<string, Json>; output: Json };
}

export interface Connector {
  /** That of the node, which may be the connector's trigger. */
  type: string;
  name: string;
  /** The connector itself. */
  service: { type: string; name: string };
  description: string;
  docs: string | null;
  auth: Auth[];
  /** APIs that must be switched on in the service, each with the page for that. */
  apis: Record<string, string>;
  /** How many calls the service allows in how many seconds. */
  rate: { calls: number; per: number } | null;
  operations: ConnectorOperation[];
}

/** A choice read from the service. */
export interface Choice {
  value: string;
  label: string;
}

export interface Choices {
  items: Choice[];
  /** True if the service has more. */
  truncated: boolean;
}

const STALE = 10 * 60_000;

/** Return the query of a connector. It changes only when the server restarts. */
export function connectorQuery(type: string) {
  return {
    queryKey: ["get", "/api/connectors", type],
    queryFn: async (): Promise<Connector> => {
      const { data } = await server.GET("/api/connectors/{connector}", {
        params: { path: { connector: type } },
      });
      return data as unknown as Connector;
    },
    staleTime: STALE,
    gcTime: STALE,
  };
}

export function useConnector(type: string) {
  const { data, error, refetch } = useQuery(connectorQuery(type));
  return { connector: data, error, retry: () => void refetch() };
}

export interface ChoicesAsked {
  operation: string;
  /** The setting whose values are wanted. */
  input: string;
  /** The settings that the values depend on. */
  config: Record<string, Json>;
}

/** Return the choices of an input, read from the service with the credential. */
export async function loadChoices(type: string, body: ChoicesAsked, signal: AbortSignal): Promise<Choices> {
  const { data } = await server.POST("/api/connectors/{connector}/options", {
    params: { path: { connector: type } },
    body,
    signal,
  });
  return data as unknown as Choices;
}

/** Return a rate limit in words: "50 calls a minute". */
export function rateInWords({ calls, per }: { calls: number; per: number }): string {
  const unit = { 1: "a second", 60: "a minute", 3600: "an hour", 86400: "a day" }[per];
  return `${calls.toLocaleString("en")} ${calls === 1 ? "call" : "calls"} ${unit ?? `in ${per} seconds`}`;
}
