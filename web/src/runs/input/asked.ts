/** What a flow asks for when it is started, and what the server has against what it was given; pure. */
import type { ErrorSchema } from "@rjsf/utils";
import type { Detail } from "@/api/client";
import type { Definition, Json } from "@/definition/types";
import { errorsOf, type Placed, tokens } from "@/forms/schema/problems";
import { isRecord } from "@/forms/schema/values";

export interface Asked {
  /** Of the input, where a form can be made of it. */
  schema: Record<string, Json> | null;
  /** What the flow does, for whoever starts it. */
  description: string;
}

function formOf(schema: Json | undefined): Record<string, Json> | null {
  if (!isRecord(schema) || !isRecord(schema.properties)) return null;
  return schema.type === undefined || schema.type === "object" ? schema : null;
}

/** What the nodes that begin the flow say; those that are disabled or pinned get no input. */
export function askedOf(definition: Definition, pinned: Readonly<Record<string, unknown>> = {}): Asked {
  const reached = new Set(definition.edges.map((edge) => edge.to));
  const first = definition.nodes.filter(
    (node) => !reached.has(node.id) && !node.disabled && pinned[node.id] === undefined,
  );
  const asking = first.find((node) => formOf(node.config?.input_schema) !== null);
  const described = (asking === undefined ? first : [asking]).map((node) => node.config?.description);
  return {
    schema: formOf(asking?.config?.input_schema),
    description: described.find((one) => typeof one === "string") ?? "",
  };
}

const MISSING = /^"(.*)" is a required property$/s;

function placed({ path, message }: Detail): Placed {
  const within = tokens(path).slice(1);
  const missing = MISSING.exec(message)?.[1];
  return missing === undefined
    ? { path: within, message }
    : { path: [...within, missing], message: "Is required" };
}

export interface Faults {
  /** As the form library takes them. */
  errors: ErrorSchema;
  /** Those that are with no field of the form. */
  others: string[];
}

/** Which field of the form each fault is shown at. */
export function faultsOfForm(details: readonly Detail[], schema: Record<string, Json>): Faults {
  const known = isRecord(schema.properties) ? schema.properties : {};
  const all = details.map(placed);
  const isKnown = ({ path: [first] }: Placed) => first !== undefined && Object.hasOwn(known, first);
  return {
    errors: errorsOf(all.filter(isKnown)),
    others: all.filter((one) => !isKnown(one)).map(inWords),
  };
}

function inWords({ path, message }: Placed): string {
  return path.length === 0 ? message : `${path.join(".")}: ${message}`;
}

/** All faults as lines, with their places. */
export function faultsInWords(details: readonly Detail[]): string[] {
  return details.map((one) => inWords(placed(one)));
}
