/** Determine the kind of field for a setting from its schema. */
import type { Json } from "@/definition/types";
import type { Names } from "../options/choices";
import type { FieldSchema, FieldSource, Labels, OptionsSource } from "./types";

export type Kind =
  | "text"
  | "code"
  | "secret"
  | "number"
  | "boolean"
  | "choice"
  | "choices"
  | "list"
  | "map"
  | "json"
  | "schema"
  | "form"
  | "any"
  | "credential"
  | "timezone"
  | "cron"
  | "date"
  | "time"
  | "datetime"
  | "flow"
  | "agent"
  | "options";

/** Everything that our fields need to know about a setting. */
export interface Leaf {
  kind: Kind;
  label: string;
  help: string;
  required: boolean;
  /** True if its text is literal, without expressions. */
  literal: boolean;
  /** True if its expressions can read `item` and `index`. */
  perItem: boolean;
  /** True if it can be edited as rows of field, operator and value. */
  condition: boolean;
  /** The setting with the cases, if it can be edited as conditions that lead to them. */
  rules?: string;
  multiline: boolean;
  language?: string;
  /** The names that code can read. */
  scope: string[];
  default?: Json;
  /** A value to show as a hint while the field is empty. */
  example?: string | number;
  choices?: Json[];
  /** The label of each choice. */
  labels?: Labels;
  integer?: boolean;
  minimum?: number;
  maximum?: number;
  maxLength?: number;
  format?: string;
  credentialTypes?: string[];
  /** True for a secret that is not the account of the node's service. */
  isOwnSecret?: boolean;
  /** Permissions that the account needs besides. */
  scopes?: string[];
  /** Where its choices come from. */
  options?: OptionsSource;
  /** Where its fields come from: an object with an input for each. */
  fields?: FieldSource;
  /** What of the workspace it names, to be chosen from a list. */
  names?: Names;
  /** True if several of the choices can be chosen. */
  many?: boolean;
  /** The schema of each item of a list, or each value of a map. */
  each?: FieldSchema;
}

function typesOf(schema: FieldSchema): string[] {
  if (schema.type === undefined) return [];
  return Array.isArray(schema.type) ? schema.type.filter((type) => type !== "null") : [schema.type];
}

const BY_NAME: [RegExp, Kind][] = [
  [/(^|_)timezone$/, "timezone"],
  [/(^|_)cron$/, "cron"],
];
const FORMATS: Record<string, Kind> = { date: "date", time: "time", "date-time": "datetime" };
const NAMED: Record<string, Kind> = { workflow: "flow", agent: "agent" };

function textKind(key: string, schema: FieldSchema, literal: boolean): Kind {
  if (schema["x-credential"] !== undefined) return "credential";
  if (schema["x-secret"]) return "secret";
  const named = NAMED[schema["x-names"] ?? ""];
  if (named !== undefined) return named;
  // Code with expressions is edited as text, which completes expressions.
  if (schema["x-language"] !== undefined && literal) return "code";
  // A setting that may hold an expression is a text.
  const format = literal ? FORMATS[schema.format ?? ""] : undefined;
  if (format !== undefined) return format;
  return BY_NAME.find(([pattern]) => pattern.test(key))?.[1] ?? "text";
}

function objectKind(schema: FieldSchema, literal: boolean): Kind {
  const { additionalProperties: each } = schema;
  const isFree = each === undefined || each === true || (each !== false && Object.keys(each).length === 0);
  // A free literal object is JSON, for example a JSON Schema.
  return isFree && literal ? "json" : "map";
}

function listKind(schema: FieldSchema): Kind | undefined {
  const { items } = schema;
  if (items?.enum !== undefined) return "choices";
  return items?.properties !== undefined ? undefined : "list";
}

/**
 * Return the kind of the field; `around` is true inside a literal value. Undefined for nested settings and choices
 * between schemas, which consist of other fields.
 */
export function kindOf(key: string, schema: FieldSchema, around = false): Kind | undefined {
  const literal = around || schema["x-literal"] === true;
  if (schema.oneOf !== undefined || schema.anyOf !== undefined) return undefined;
  if (schema["x-holds"] === "json-schema") return "schema";
  if (schema["x-holds"] === "form-fields") return "form";
  if (schema["x-options"] !== undefined) return "options";
  if (schema.enum !== undefined) return "choice";
  const types = typesOf(schema);
  if (types.includes("array") && types.every((type) => type === "array" || type === "string")) {
    return listKind(schema);
  }
  if (types.length !== 1) return "any";
  switch (types[0]) {
    case "string":
      return textKind(key, schema, literal);
    case "number":
    case "integer":
      return "number";
    case "boolean":
      return "boolean";
    case "object":
      return schema.properties !== undefined ? undefined : objectKind(schema, literal);
    default:
      return "any";
  }
}

/** Return the help text; empty if it only repeats the label, as "The password" does. */
function helpOf(description: string, label: string): string {
  return description.replace(/^(The|A|An) /, "").toLowerCase() === label.toLowerCase() ? "" : description;
}

const MAX_EXAMPLE = 60; // characters: a longer one would be cut off

function exampleOf({ examples }: FieldSchema): string | number | undefined {
  const [first] = examples ?? [];
  if (typeof first === "number") return first;
  return typeof first === "string" && first.length <= MAX_EXAMPLE ? first : undefined;
}

const LONG = 20_000;

/** `around` describes the object that contains the setting. */
export function leafOf(
  key: string,
  schema: FieldSchema,
  kind: Kind,
  around: { label: string; required: boolean; literal: boolean },
): Leaf {
  const each = typeof schema.additionalProperties === "object" ? schema.additionalProperties : schema.items;
  const fields = schema["x-fields"];
  return {
    kind,
    label: schema.title ?? around.label,
    help: helpOf(schema.description ?? "", schema.title ?? around.label),
    required: around.required,
    literal: around.literal || schema["x-literal"] === true,
    perItem: schema["x-per-item"] !== undefined,
    condition: schema["x-condition"] === true,
    rules: schema["x-rules"],
    multiline:
      schema["x-multiline"] ?? (kind === "secret" ? (schema.maxLength ?? 0) >= LONG && /key/.test(key) : false),
    language: schema["x-language"],
    scope: schema["x-scope"] ?? [],
    default: schema.default,
    example: exampleOf(schema),
    choices: schema.enum ?? schema.items?.enum,
    labels: schema["x-enum-labels"] ?? schema.items?.["x-enum-labels"],
    integer: typesOf(schema)[0] === "integer",
    minimum: schema.minimum,
    maximum: schema.maximum,
    maxLength: schema.maxLength,
    format: schema.format,
    credentialTypes: schema["x-credential"],
    isOwnSecret: schema["x-own-secret"],
    scopes: schema["x-scopes"],
    options: schema["x-options"],
    fields: typeof fields === "string" ? { setting: fields } : fields,
    names: NAMED[schema["x-names"] ?? ""] === undefined ? (schema["x-names"] as Names | undefined) : undefined,
    many: typesOf(schema).includes("array"),
    each,
  };
}
