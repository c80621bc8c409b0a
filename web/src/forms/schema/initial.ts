/** What a form that asks for an input begins with; pure. */
import type { Json } from "@/definition/types";
import type { FieldSchema } from "./types";

/** What stands in a required field before anything is filled in; undefined for nothing. */
function beginning(schema: FieldSchema): Json | undefined {
  if (schema.default !== undefined) return schema.default;
  if (schema.const !== undefined) return schema.const;
  if (schema.properties !== undefined) return initialOf(schema);
  switch (schema.type) {
    case "boolean": // A switch that is off says no.
      return false;
    case "array":
      return [];
    default:
      return undefined;
  }
}

/** The value of an object: its defaults, and the parts that have to be there. */
export function initialOf(schema: FieldSchema): Record<string, Json> {
  const required = new Set(schema.required ?? []);
  const made: Record<string, Json> = {};
  for (const [name, one] of Object.entries(schema.properties ?? {})) {
    const value = required.has(name) ? beginning(one) : one.default;
    if (value !== undefined) made[name] = value;
  }
  return made;
}
