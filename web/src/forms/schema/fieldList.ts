/** A JSON Schema of a simple object as a list of fields, for people who do not know JSON Schema; and back. */
import type { Json } from "@/definition/types";
import { isRecord } from "./values";

export type FieldType = keyof typeof WRITTEN;

export interface Field {
  name: string;
  type: FieldType;
  required: boolean;
  description: string;
  /** Of a choice: what there is to choose from. */
  choices: string[];
  default?: Json;
  /** What else the schema says of it, such as its bounds; kept as it is. */
  more: Schema;
}

export interface FieldList {
  fields: Field[];
  /** What the schema says of the object itself; kept as it is. */
  around: Schema;
}

type Schema = Record<string, Json>;

/** How each type is written, from the narrowest on: a date is a text too. Choices are added to the last two. */
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
  { value: "integer", label: "Whole number" },
  { value: "boolean", label: "Yes or no" },
  { value: "choice", label: "One of several" },
  { value: "choices", label: "Some of several" },
  { value: "date", label: "Date" },
  { value: "time", label: "Time" },
  { value: "datetime", label: "Date and time" },
  { value: "texts", label: "List of texts" },
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
  return schema.type === "number" || schema.type === "integer" || schema.type === "boolean"
    ? schema.type
    : "text";
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

/** The schema of one field. */
export function propertyOf(field: Field): Schema {
  const made: Schema = { ...WRITTEN[field.type], ...field.more };
  if (field.type === "choice") made.enum = field.choices;
  if (field.type === "choices") made.items = { type: "string", enum: field.choices };
  if (field.description !== "") made.description = field.description;
  if (field.default !== undefined) made.default = field.default;
  return made;
}

function written({ fields, around }: FieldList): Schema {
  // Of two with one name the first counts; one without a name is not there yet.
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

/** The schema of the fields; undefined where there are none and nothing else is said. */
export function schemaOf(list: FieldList): Schema | undefined {
  const made = written(list);
  const isEmpty =
    Object.keys(made.properties as Schema).length === 0 && Object.keys(list.around).length === 0;
  return isEmpty ? undefined : made;
}

/** The same for two schemas that mean the same, as far as the order of keys goes. */
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

/** The fields of a schema; null where it says anything that they would not show, so that it would be lost. */
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

/** The field as one of another type, with what still makes sense of it. */
export function retyped(field: Field, type: FieldType): Field {
  const { default: _default, more, choices, ...rest } = field;
  const title: Schema = more.title === undefined ? {} : { title: more.title };
  return { ...rest, type, choices: isChoice(type) ? choices : [], more: title };
}

/** The field with other choices, and without a default that is none of them. */
export function rechosen(field: Field, choices: string[]): Field {
  const { default: before, ...rest } = field;
  const kept = (Array.isArray(before) ? before : [before]).every((one) => choices.includes(String(one)));
  return { ...rest, choices, ...(before === undefined || !kept ? {} : { default: before }) };
}

/** What is wrong with a field beside the others. */
export function fieldFault(fields: readonly Field[], field: Field): string | undefined {
  if (field.name === "") return "Needs a name";
  if (fields.find((one) => one.name === field.name) !== field) return "There is one of that name above";
  return undefined;
}

/** What is kept of a field without being shown, in words: "minimum 1, maximum 10". */
export function besides({ more }: Field): string {
  return Object.entries(more)
    .map(([key, value]) => `${key} ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(", ");
}
