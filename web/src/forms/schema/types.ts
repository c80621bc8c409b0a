/** The part of JSON Schema that settings of nodes and credentials are described in, and the hints beside it. */
import type { Json } from "@/definition/types";

export interface FieldSchema {
  type?: string | string[];
  title?: string;
  description?: string;
  default?: Json;
  enum?: Json[];
  const?: Json;
  properties?: Record<string, FieldSchema>;
  required?: string[];
  additionalProperties?: boolean | FieldSchema;
  items?: FieldSchema;
  oneOf?: FieldSchema[];
  anyOf?: FieldSchema[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  format?: string;
  /** Taken as written: no expression is looked for in it. */
  "x-literal"?: boolean;
  /** The name of a credential of one of these types. */
  "x-credential"?: string[];
  /** Written, never read: a password. */
  "x-secret"?: boolean;
  /** Evaluated for each item: `item` and `index` are there. */
  "x-per-item"?: boolean;
  "x-multiline"?: boolean;
  "x-language"?: string;
  /** What an object is: `json-schema`. */
  "x-holds"?: string;
  /** The id of such a thing: a workflow, an agent. */
  "x-names"?: string;
}
