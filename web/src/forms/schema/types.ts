/** The subset of JSON Schema that describes settings and credentials, with our extensions. */
import type { Json } from "@/definition/types";

export interface FieldSchema {
  type?: string | string[];
  title?: string;
  description?: string;
  default?: Json;
  /** Values to show as a hint. */
  examples?: Json[];
  enum?: Json[];
  /** The label of each value of `enum`. */
  "x-enum-labels"?: Record<string, string>;
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
  /** Literal: expressions are not evaluated. */
  "x-literal"?: boolean;
  /** The name of a credential of one of these types. */
  "x-credential"?: string[];
  /** Written but never read back: a password. */
  "x-secret"?: boolean;
  /** Evaluated for each item: `item` and `index` exist. */
  "x-per-item"?: boolean;
  /** A condition: offer rows of field, operator and value. */
  "x-condition"?: boolean;
  /** A value compared with cases: offer conditions that lead to them. The name of the setting with the cases. */
  "x-rules"?: string;
  "x-multiline"?: boolean;
  "x-language"?: string;
  /** The names that code can read, such as `input`. */
  "x-scope"?: string[];
  /** The content of an object or a list: `json-schema`, `form-fields`. */
  "x-holds"?: string;
  /** The kind of name: the id of a workflow or an agent, or another name in the workspace. */
  "x-names"?: string;
  /** Shown below "More settings". */
  "x-advanced"?: boolean;
  /** Its value may be chosen from the list of an operation of the connector. */
  "x-options"?: OptionsSource;
}

/** Where the choices of an input come from. */
export interface OptionsSource {
  /** The operation that lists them. */
  operation: string;
  /** The settings that the operation needs: ours by its names, or a constant. */
  inputs?: Record<string, string | { constant: Json }>;
}
