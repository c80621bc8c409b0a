/** The fields of an object that a service, a table or a flow describes, and their values; pure. */
import type { Choice } from "@/api/connectors";
import type { Json } from "@/definition/types";
import { type Path, pathText } from "../expression/scope";
import { kindOf, type Leaf, leafOf } from "../schema/leaf";
import type { FieldSchema } from "../schema/types";
import { isRecord } from "../schema/values";

type Values = Record<string, Json>;

/** A field as the source describes it. */
export interface Described extends Choice {
  /** Another name that the source takes; empty if there is none. */
  also?: string;
  required?: boolean;
  schema?: FieldSchema;
}

export interface Field {
  /** The key of its value. */
  name: string;
  also: string;
  leaf: Leaf;
}

/** No value and false are different things. */
const YES_OR_NO: FieldSchema = { enum: [true, false] };

export function fieldOf({ value, label, also = "", required = false, schema = {} }: Described): Field {
  const { type, title: _title, ...rest } = schema;
  const shown = type === "boolean" ? { ...rest, ...YES_OR_NO } : { ...rest, type };
  const kind = kindOf("", shown, true) ?? "any";
  return { name: value, also, leaf: leafOf("", shown, kind, { label, required, literal: false }) };
}

/** Return the fields of an object's JSON Schema, required ones first. */
export function describedIn(schema: Values | null): Described[] {
  const required = new Set(Array.isArray(schema?.required) ? schema.required : []);
  const fields = Object.entries(isRecord(schema?.properties) ? schema.properties : {}).map(([name, one]) => {
    const own = isRecord(one) ? (one as FieldSchema) : {};
    return { value: name, label: own.title ?? name, required: required.has(name), schema: own };
  });
  return fields.sort((one, other) => Number(other.required) - Number(one.required));
}

/** The JSON Schema of the values of each type of column. Other columns take any value. */
const COLUMNS: Record<string, FieldSchema> = {
  text: { type: "string" },
  number: { type: "number" },
  boolean: { type: "boolean" },
  date: { type: "string", format: "date-time" },
};

export function describedBy(columns: readonly { name: string; type: string }[]): Described[] {
  return columns.map(({ name, type }) => ({ value: name, label: name, schema: COLUMNS[type] }));
}

/** Return the key under which the values have the field. */
export function keyIn({ name, also }: Field, values: Values): string {
  return also !== "" && Object.hasOwn(values, also) && !Object.hasOwn(values, name) ? also : name;
}

/** Return the keys of values that are none of the fields. */
export function foreignIn(fields: readonly Field[], values: Values): string[] {
  const known = new Set(fields.flatMap(({ name, also }) => [name, also]));
  return Object.keys(values).filter((key) => !known.has(key));
}

/** So many fields are all shown; of more, only those that are required or have a value. */
const MAX_SHOWN = 20;

export function isShown(field: Field, fields: readonly Field[], values: Values): boolean {
  return fields.length <= MAX_SHOWN || field.leaf.required || Object.hasOwn(values, keyIn(field, values));
}

// Fields by the names of the input's keys.

const MAX_DEPTH = 3;
const MAX_KEYS = 2_000;

/** Return a name without case, spaces, underscores and hyphens. */
function plain(name: string): string {
  return name
    .normalize("NFKC")
    .toLowerCase()
    .replace(/[\s_-]/g, "");
}

/** Return the paths of the keys of an object by their plain names: of equal ones, the least nested. */
function pathsIn(data: Json | undefined, root: Path): Map<string, Path> {
  const found = new Map<string, Path>();
  let level: [Json | undefined, Path][] = [[data, root]];
  for (let depth = 0; depth < MAX_DEPTH; depth += 1) {
    const next: [Json, Path][] = [];
    for (const [one, path] of level) {
      for (const [key, inner] of isRecord(one) ? Object.entries(one) : []) {
        if (found.size >= MAX_KEYS) return found;
        if (!found.has(plain(key))) found.set(plain(key), [...path, key]);
        next.push([inner, [...path, key]]);
      }
    }
    level = next;
  }
  return found;
}

/** Return expressions for the fields without a value whose name or label is that of a key of the data. */
export function matched(fields: readonly Field[], values: Values, data: Json | undefined, root: string): Values {
  const paths = pathsIn(data, [root]);
  const made: Values = {};
  for (const field of fields) {
    const path = paths.get(plain(field.name)) ?? paths.get(plain(field.leaf.label));
    if (path !== undefined && !Object.hasOwn(values, keyIn(field, values)))
      made[field.name] = `{{ ${pathText(path)} }}`;
  }
  return made;
}
