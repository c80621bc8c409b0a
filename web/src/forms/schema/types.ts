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
  /** With `x-credential`: permissions that the account needs, besides those of the connector. */
  "x-scopes"?: string[];
  /** With `x-credential`: a secret of its own, not the account of the node's service. */
  "x-own-secret"?: boolean;
  /** Written but never read back: a password. */
  "x-secret"?: boolean;
  /** Evaluated for each item: `item` and `index` exist. */
  "x-per-item"?: string;
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
  /** Its values have names and types: those of an operation, or of the table or flow in the setting of this name. */
  "x-fields"?: FieldSource | string;
}

/** Where the choices of an input come from. */
export interface OptionsSource {
  /** The operation that lists them. */
  operation: string;
  /** The settings that the operation needs: ours by its names, or a constant. */
  inputs?: Record<string, string | { constant: Json }>;
  /** The settings without which there is nothing to list. */
  needs?: string[];
}

/** Where the fields of an object come from. */
export type FieldSource =
  | (OptionsSource & {
      /** The thing that has the fields, such as "sheet". */
      of?: string;
      /** What to do if it has none. */
      empty?: string;
    })
  | {
      /** The setting with the name of a table or the id of a flow. */
      setting: string;
      /** The values of other settings with which there are fields. */
      when?: Record<string, string[]>;
    };

/** Texts of form fields: labels of choices, defaults, hints. */

export type Labels = Record<string, string>;

/** Return a choice's value as text: the key of its label. */
export function keyOf(value: unknown): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Return the label of a choice's value; without one the value itself. */
export function choiceLabel(value: unknown, labels?: Labels): string {
  const label = labels?.[keyOf(value)];
  if (label !== undefined) return label;
  return typeof value === "boolean" ? (value ? "Yes" : "No") : keyOf(value);
}

/** Return a value in brief, to show a default as a field's placeholder. */
export function glance(value: unknown, labels?: Labels): string {
  if (value === "" || value === undefined || value === null) return "";
  if (Array.isArray(value)) return value.map((one) => glance(one, labels)).join(", ");
  if (typeof value === "object") return JSON.stringify(value);
  return labels === undefined ? String(value) : choiceLabel(value, labels);
}

/** Return the placeholder of an empty field: its default, else an example. */
export function placeholderOf(leaf: { default?: unknown; example?: string | number; labels?: Labels }): string {
  const usual = glance(leaf.default, leaf.labels);
  return usual === "" && leaf.example !== undefined ? `For example ${leaf.example}` : usual;
}

/** The maximum number of options to render: more would freeze the browser; the search finds the others. */
const MOST_SHOWN = 200;

/** Return the props of a select with that many options. */
export function shownOf(choices: readonly unknown[] = []) {
  return { searchable: choices.length > 8, limit: MOST_SHOWN, nothingFoundMessage: "No match" };
}

export function howToChoose(choices: readonly unknown[] = []): string {
  return choices.length > MOST_SHOWN ? "Type to search" : "Select";
}
