/** Texts of form fields: labels of choices, defaults, hints. */

export type Labels = Record<string, string>;

/** Return the label of a choice's value; without one the value itself. */
export function choiceLabel(value: unknown, labels?: Labels): string {
  const label = labels?.[String(value)];
  if (label !== undefined) return label;
  return typeof value === "boolean" ? (value ? "Yes" : "No") : String(value);
}

/** Return a value in brief, to show a default as a field's placeholder. */
export function glance(value: unknown, labels?: Labels): string {
  if (value === "" || value === undefined || value === null) return "";
  if (Array.isArray(value)) return value.map((one) => glance(one, labels)).join(", ");
  if (typeof value === "object") return JSON.stringify(value);
  return labels === undefined ? String(value) : choiceLabel(value, labels);
}

/** Return the placeholder of an empty field: its default, else an example. */
export function placeholderOf(leaf: {
  default?: unknown;
  example?: string | number;
  labels?: Labels;
}): string {
  const usual = glance(leaf.default, leaf.labels);
  return usual === "" && leaf.example !== undefined ? `For example ${leaf.example}` : usual;
}

/** The maximum number of options to render: more would freeze the browser; the search finds the others. */
export const MOST_SHOWN = 200;

/** Return the props of a select with that many options. */
export function shownOf(choices: readonly unknown[] = []) {
  return { searchable: choices.length > 8, limit: MOST_SHOWN, nothingFoundMessage: "No match" };
}

export function howToChoose(choices: readonly unknown[] = []): string {
  return choices.length > MOST_SHOWN ? "Type to search" : "Select";
}
