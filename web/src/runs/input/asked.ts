/** The input that a flow asks for, and the server's problems with an input; pure. */
import type { ErrorSchema } from "@rjsf/utils";
import type { Detail } from "@/api/client";
import type { Definition, FlowNode, Json } from "@/definition/types";
import { answersSchema } from "@/forms/schema/formFields";
import { errorsOf, type Placed, tokens } from "@/forms/schema/problems";
import { isRecord } from "@/forms/schema/values";

export interface Asked {
  /** The JSON schema of the input, if a form can be made from it. */
  schema: Record<string, Json> | null;
  /** The flow's description for users who run it. */
  description: string;
}

function formOf(schema: Json | undefined): Record<string, Json> | null {
  if (!isRecord(schema) || !isRecord(schema.properties)) return null;
  return schema.type === undefined || schema.type === "object" ? schema : null;
}

/** Read the schema and description of the flow's start nodes. Disabled and pinned nodes get no input. */
export function askedOf(definition: Definition, pinned: Readonly<Record<string, unknown>> = {}): Asked {
  const reached = new Set(definition.edges.map((edge) => edge.to));
  const first = definition.nodes.filter(
    (node) => !reached.has(node.id) && !node.disabled && pinned[node.id] === undefined,
  );
  const schemaOf = ({ type, config }: FlowNode) =>
    type === "form" ? answersSchema(config?.fields) : formOf(config?.input_schema);
  const asking = first.find((node) => schemaOf(node) !== null);
  const described = (asking === undefined ? first : [asking]).map((node) => node.config?.description);
  return {
    schema: asking === undefined ? null : schemaOf(asking),
    description: described.find((one) => typeof one === "string") ?? "",
  };
}

const MISSING = /^"(.*)" is a required property$/s;

function placed({ path, message }: Detail): Placed {
  const within = tokens(path).slice(1);
  const missing = MISSING.exec(message)?.[1];
  return missing === undefined
    ? { path: within, message }
    : { path: [...within, missing], message: "This field is required" };
}

export interface Faults {
  /** Errors in the form library's format. */
  errors: ErrorSchema;
  /** Problems without a form field. */
  others: string[];
}

/** Assign each problem to its form field. */
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

/** Return all problems as lines with their paths. */
export function faultsInWords(details: readonly Detail[]): string[] {
  return details.map((one) => inWords(placed(one)));
}
