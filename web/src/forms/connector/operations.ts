/** Find an operation of a connector, and change a node from one to another; pure. */

import { createContext, useContext } from "react";
import type { Connector, ConnectorOperation } from "@/api/connectors";
import type { Json } from "@/definition/types";
import { wordsOf } from "@/ui/match";
import type { FieldSchema } from "../schema/types";

/** The setting that names the operation. */
export const OPERATION = "operation";

type Config = Record<string, Json>;

/** The description of an operation in the catalog and the connector. */
export interface Described {
  id: string;
  name: string;
  group: string;
  also: readonly string[];
  /** Empty until the connector is loaded. */
  description: string;
}

export function describe(
  listed: readonly { id: string; name: string; group: string; also: readonly string[] }[],
  loaded: readonly ConnectorOperation[] = [],
): Described[] {
  const descriptions = new Map(loaded.map((one) => [one.id, one.description]));
  return listed.map((one) => ({ ...one, description: descriptions.get(one.id) ?? "" }));
}

/** Return true if every word of the search is in a text about the operation. */
export function matches(operation: Described, search: string): boolean {
  const { name, group, also, description } = operation;
  const text = [name, group, ...also, description].join(" ").toLowerCase();
  return wordsOf(search).every((word) => text.includes(word));
}

/** Return the operations by group, in the order of the connector. */
export function byGroup<T extends { group: string }>(operations: readonly T[]): { group: string; items: T[] }[] {
  const groups = new Map<string, T[]>();
  for (const one of operations) groups.set(one.group, [...(groups.get(one.group) ?? []), one]);
  return [...groups].map(([group, items]) => ({ group, items }));
}

/**
 * Return the config under another operation: settings that it has too are kept, `aside` has the others, for a change
 * back. Values from an earlier `aside` return to settings that are empty.
 */
export function changed(
  config: Config,
  operation: Pick<ConnectorOperation, "id" | "config_schema">,
  aside: Config = {},
): { config: Config; aside: Config } {
  const known = operation.config_schema.properties ?? {};
  const all = { ...aside, ...config };
  const made: Config = { [OPERATION]: operation.id };
  const rest: Config = {};
  for (const [key, value] of Object.entries(all)) {
    if (key === OPERATION) continue;
    if (Object.hasOwn(known, key)) made[key] = value;
    else rest[key] = value;
  }
  return { config: made, aside: rest };
}

/** Return the schema without the operation, which has a field of its own. */
export function withoutOperation(schema: FieldSchema): FieldSchema {
  const { [OPERATION]: _operation, ...properties } = schema.properties ?? {};
  return { ...schema, properties, required: schema.required?.filter((key) => key !== OPERATION) };
}

/** Return the settings that are shown at once; the others are below "More settings". */
export function usualIn(schema: FieldSchema): ReadonlySet<string> {
  const entries = Object.entries(schema.properties ?? {});
  return new Set(entries.filter(([, one]) => !one["x-advanced"]).map(([key]) => key));
}

// The connector whose node the form edits, for its fields that ask the service or make a credential for it.

interface FormConnector {
  connector: Connector;
  /** The chosen operation; empty for a trigger of the service's webhook. */
  operation: string;
  /** The setting with the account, if it is not `credential`. */
  account?: string;
}

const ConnectorContext = createContext<FormConnector | null>(null);
export const ConnectorProvider = ConnectorContext.Provider;

/** Return the form's connector; null in forms of other nodes. */
export function useFormConnector(): FormConnector | null {
  return useContext(ConnectorContext);
}
