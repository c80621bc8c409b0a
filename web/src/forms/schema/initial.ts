/** The initial value of a form that asks for an input; pure. */
import type { Json } from "@/definition/types";
import type { FieldSchema } from "./types";

/** Return the initial value of a required field; undefined for none. */
function beginning(schema: FieldSchema): Json | undefined {
  if (schema.default !== undefined) return schema.default;
  if (schema.const !== undefined) return schema.const;
  if (schema.properties !== undefined) return initialOf(schema);
  switch (schema.type) {
    case "boolean": // A switch that is off means false.
      return false;
    case "array":
      return [];
    default:
      return undefined;
  }
}

/** Return the initial value of an object: its defaults, and its required parts. */
export function initialOf(schema: FieldSchema): Record<string, Json> {
  const required = new Set(schema.required ?? []);
  const made: Record<string, Json> = {};
  for (const [name, one] of Object.entries(schema.properties ?? {})) {
    const value = required.has(name) ? beginning(one) : one.default;
    if (value !== undefined) made[name] = value;
  }
  return made;
}
