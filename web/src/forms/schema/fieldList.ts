/** Convert the JSON Schema of a simple object to a list of fields and back, for users who do not know JSON Schema. */
import type { Json } from "@/definition/types";
import { isRecord } from "./values";

export type FieldType = keyof typeof WRITTEN;

export interface Field {
  name: string;
  type: FieldType;
  required: boolean;
  description: string;
  /** The choices of a choice field. */
  choices: string[];
  default?: Json;
  /** Other keywords of the field, such as limits; kept unchanged. */
  more: Schema;
}

export interface FieldList {
  fields: Field[];
  /** Other keywords of the object; kept unchanged. */
  around: Schema;
}

type Schema = Record<string, Json>;

/** The schema of each type, narrowest first: a date is also text. The last two get their choices added. */
const WRITTEN = {
  text: { type: "string" },
  long: { type: "string", "x-multiline": true },
  number: { type: "number" },
  integer: { type: "integer" },
  boolean: { type: "boolean" },
  date: { type: "string", format: "date" },
  time: { type: "string", format: "time" },
  datetime: { type: "string", format: "date-time" },
  texts: { type: "array", items: { type: "string" } },
  choice: { type: "string" },
  choices: { type: "array" },
} as const satisfies Record<string, Schema>;

export const FIELD_TYPES: { value: FieldType; label: string }[] = [
  { value: "text", label: "Text" },
  { value: "long", label: "Long text" },
  { value: "number", label: "Number" },
  { value: "integer", label: "Integer" },
  { value: "boolean", label: "Boolean" },
  { value: "choice", label: "Single choice" },
  { value: "choices", label: "Multiple choice" },
  { value: "date", label: "Date" },
  { value: "time", label: "Time" },
  { value: "datetime", label: "Date and time" },
  { value: "texts", label: "List of text" },
];

const AROUND = new Set(["$schema", "title", "description", "additionalProperties"]);
const BESIDE = new Set(
  "title format minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength pattern minItems maxItems uniqueItems examples".split(
    " ",
  ),
);

export function isChoice(type: FieldType): boolean {
  return type === "choice" || type === "choices";
}

export function emptyField(): Field {
  return { name: "", type: "text", required: false, description: "", choices: [], more: {} };
}

function textsOf(value: Json | undefined): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
}

function typeOf(schema: Schema): FieldType {
  const items = isRecord(schema.items) ? schema.items : {};
  if (schema.type === "array") return items.enum === undefined ? "texts" : "choices";
  if (schema.enum !== undefined) return "choice";
  if (schema["x-multiline"] === true) return "long";
  if (schema.type === "string") {
    const formats: Record<string, FieldType> = { date: "date", time: "time", "date-time": "datetime" };
    return formats[String(schema.format)] ?? "text";
  }
  return schema.type === "number" || schema.type === "integer" || schema.type === "boolean" ? schema.type : "text";
}

function fieldOf(name: string, schema: Json, required: boolean): Field {
  const said = isRecord(schema) ? schema : {};
  const type = typeOf(said);
  const isOwn = (key: string) => key in WRITTEN[type];
  const more = Object.entries(said).filter(([key]) => BESIDE.has(key) && !isOwn(key));
  const choices = type === "choices" && isRecord(said.items) ? said.items.enum : said.enum;
  return {
    name,
    type,
    required,
    description: typeof said.description === "string" ? said.description : "",
    choices: textsOf(choices),
    ...(said.default === undefined ? {} : { default: said.default }),
    more: Object.fromEntries(more),
  };
}

/** Return the schema of one field. */
export function propertyOf(field: Field): Schema {
  const made: Schema = { ...WRITTEN[field.type], ...field.more };
  if (field.type === "choice") made.enum = field.choices;
  if (field.type === "choices") made.items = { type: "string", enum: field.choices };
  if (field.description !== "") made.description = field.description;
  if (field.default !== undefined) made.default = field.default;
  return made;
}

function written({ fields, around }: FieldList): Schema {
  // If two fields have the same name, the first counts. A field without a name is incomplete.
  const named = new Map<string, Field>();
  for (const field of fields) {
    if (field.name !== "" && !named.has(field.name)) named.set(field.name, field);
  }
  const required = [...named.values()].filter((field) => field.required).map((field) => field.name);
  return {
    ...around,
    type: "object",
    properties: Object.fromEntries([...named].map(([name, field]) => [name, propertyOf(field)])),
    ...(required.length === 0 ? {} : { required }),
  };
}

/** Return the schema of the fields; undefined if it would be empty. */
export function schemaOf(list: FieldList): Schema | undefined {
  const made = written(list);
  const isEmpty = Object.keys(made.properties as Schema).length === 0 && Object.keys(list.around).length === 0;
  return isEmpty ? undefined : made;
}

/** Return the same text for two schemas that differ only in the order of keys. */
function canonical(value: Json, key = ""): string {
  if (Array.isArray(value)) {
    const items = value.map((one) => canonical(one));
    return `[${(key === "required" ? items.sort() : items).join()}]`;
  }
  if (!isRecord(value)) return JSON.stringify(value);
  const parts = Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}:${canonical(one, name)}`);
  return `{${parts.sort().join()}}`;
}

function withoutNothing(schema: Schema): Schema {
  const { required = [], ...rest } = schema;
  const isNone = Array.isArray(required) && required.length === 0;
  return { properties: {}, ...rest, ...(isNone ? {} : { required }) };
}

/** Return the fields of a schema; null if the list cannot represent it without loss. */
export function fieldListOf(schema: Json | undefined): FieldList | null {
  if (schema === undefined) return { fields: [], around: {} };
  if (!isRecord(schema)) return null;
  if (Object.keys(schema).length === 0) return { fields: [], around: {} };
  const { properties = {}, required } = schema;
  if (!isRecord(properties)) return null;
  const isRequired = new Set(textsOf(required));
  const list = {
    fields: Object.entries(properties).map(([name, one]) => fieldOf(name, one, isRequired.has(name))),
    around: Object.fromEntries(Object.entries(schema).filter(([key]) => AROUND.has(key))),
  };
  return canonical(withoutNothing(written(list))) === canonical(withoutNothing(schema)) ? list : null;
}

/** Return the field with another type, keeping the keywords that still apply. */
export function retyped(field: Field, type: FieldType): Field {
  const { default: _default, more, choices, ...rest } = field;
  const title: Schema = more.title === undefined ? {} : { title: more.title };
  return { ...rest, type, choices: isChoice(type) ? choices : [], more: title };
}

/** Return the field with other choices, without a default that is none of them. */
export function rechosen(field: Field, choices: string[]): Field {
  const { default: before, ...rest } = field;
  const kept = (Array.isArray(before) ? before : [before]).every((one) => choices.includes(String(one)));
  return { ...rest, choices, ...(before === undefined || !kept ? {} : { default: before }) };
}

/** Return the problem of a field, compared with the others. */
export function fieldFault(fields: readonly Field[], field: Field): string | undefined {
  if (field.name === "") return "Enter a name";
  if (fields.find((one) => one.name === field.name) !== field) return "This name is already used";
  return undefined;
}

/** Return the field's hidden keywords as text: "minimum 1, maximum 10". */
export function besides({ more }: Field): string {
  return Object.entries(more)
    .map(([key, value]) => `${key} ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(", ");
}
