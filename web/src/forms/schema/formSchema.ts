/**
 * Convert a node type's config_schema for the form library. Our own fields edit all single values; the library gets
 * them as opaque values, so that it never fills in a default, converts a type, or rejects an expression in place of a
 * number. It handles nested objects, lists of objects and choices between schemas.
 */
import type { RJSFSchema, UiSchema } from "@rjsf/utils";
import { kindOf, leafOf } from "./leaf";
import type { FieldSchema } from "./types";

export interface FormSchema {
  schema: RJSFSchema;
  uiSchema: UiSchema;
}

interface Around {
  literal: boolean;
  /** False if expressions are not supported, as in credentials. */
  plain: boolean;
}

function withoutDefaults(schema: FieldSchema): FieldSchema {
  const { default: _default, ...rest } = schema;
  return rest;
}

function convertField(key: string, schema: FieldSchema, required: boolean, around: Around): FormSchema {
  const literal = around.literal || schema["x-literal"] === true;
  const title = schema.title ?? key;
  const kind = kindOf(key, schema, literal || around.plain);
  if (kind !== undefined) {
    const leaf = leafOf(key, schema, kind, { label: title, required, literal: literal || around.plain });
    const { "x-advanced": advanced } = schema;
    return {
      schema: { title, ...(advanced && { "x-advanced": true }) } as RJSFSchema,
      uiSchema: { "ui:field": "LeafField", "ui:options": { leaf } },
    };
  }
  return convert({ ...schema, title }, { ...around, literal });
}

function convertOptions(options: FieldSchema[], around: Around): FormSchema[] {
  return options.map((option, at) => convertField(option.title ?? `option_${at + 1}`, option, false, around));
}

function convert(schema: FieldSchema, around: Around): FormSchema {
  const made: RJSFSchema = { ...(withoutDefaults(schema) as RJSFSchema) };
  const uiSchema: UiSchema = {};
  if (schema.properties !== undefined) {
    const required = new Set(schema.required ?? []);
    const properties: Record<string, RJSFSchema> = {};
    for (const [key, one] of Object.entries(schema.properties)) {
      const converted = convertField(key, one, required.has(key), around);
      properties[key] = converted.schema;
      uiSchema[key] = converted.uiSchema;
    }
    made.properties = properties;
  }
  if (schema.items !== undefined) {
    const converted = convertField("item", schema.items, false, around);
    made.items = converted.schema;
    uiSchema.items = converted.uiSchema;
  }
  for (const word of ["oneOf", "anyOf"] as const) {
    const options = schema[word];
    if (options === undefined) continue;
    // Keep the options themselves, without defaults: the library checks the value against them to find the matching
    // one.
    made[word] = options.map((option) => withoutDefaults(option) as RJSFSchema);
    uiSchema[word] = convertOptions(options, around).map((option) => option.uiSchema);
  }
  return { schema: made, uiSchema };
}

/** Return the form's schema for a whole config; `plain` if no setting may hold an expression. */
export function formSchema(configSchema: unknown, plain = false): FormSchema {
  return convert(configSchema as FieldSchema, { literal: false, plain });
}
