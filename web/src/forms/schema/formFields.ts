/** The items of a form as its editor shows them: what each kind has, and names made from titles. */
import type { Json } from "@/definition/types";

/** An item of a form, as in the settings of a node. The server checks it. */
export interface FormItem {
  kind: string;
  name?: string;
  title?: string;
  help?: string;
  placeholder?: string;
  required?: boolean;
  options?: string[];
  default?: Json;
  prefill?: boolean;
  min?: number;
  max?: number;
  integer?: boolean;
  accept?: string[];
  max_bytes?: number;
}

type Part = keyof FormItem;

/** Items that ask for nothing. */
const TEXTS = ["heading", "paragraph", "page"];
/** The settings of each kind besides kind, name, title, help and required. */
const PARTS: Record<string, Part[]> = {
  text: ["placeholder", "min", "max", "prefill"],
  long_text: ["placeholder", "min", "max", "prefill"],
  email: ["placeholder", "prefill"],
  number: ["placeholder", "integer", "min", "max", "prefill"],
  date: ["prefill"],
  time: ["prefill"],
  datetime: ["prefill"],
  choice: ["options", "prefill"],
  choices: ["options", "min", "max", "prefill"],
  checkbox: ["prefill"],
  file: ["accept", "max", "max_bytes"],
  hidden: ["default", "prefill"],
};
/** The labels of an item's bounds, by its kind. */
const BOUNDS: Record<string, [string, string]> = {
  text: ["Fewest characters", "Most characters"],
  long_text: ["Fewest characters", "Most characters"],
  choices: ["Fewest choices", "Most choices"],
  file: ["", "Number of files"],
};

export function asksFor(kind: string): boolean {
  return !TEXTS.includes(kind);
}

export function has(item: FormItem, part: Part): boolean {
  return (PARTS[item.kind] ?? []).includes(part);
}

/** Return the label of the lower or upper bound of an item. */
export function boundLabel(kind: string, part: "min" | "max"): string {
  const [least, most] = BOUNDS[kind] ?? ["Minimum", "Maximum"];
  return part === "min" ? least : most;
}

/** Return the value as items; null if it is something else. */
export function itemsOf(value: Json | undefined): FormItem[] | null {
  if (value === undefined) return [];
  if (!Array.isArray(value)) return null;
  const isItem = (one: Json) => typeof one === "object" && one !== null && !Array.isArray(one);
  return value.every(isItem) ? value.map((one) => ({ kind: "text", ...(one as unknown as Partial<FormItem>) })) : null;
}

/** Return a name for a title that no other item has: `Your e-mail` becomes `your_e_mail`. */
export function nameFor(title: string, taken: readonly (string | undefined)[]): string {
  const plain = title.normalize("NFKD").replace(/[\u0300-\u036f]/g, "");
  const base = plain
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "_")
    .replace(/^[^a-z]+|_+$/g, "")
    .slice(0, 40)
    .replace(/_+$/, "");
  const first = base === "" ? "field" : base;
  let name = first;
  for (let number = 2; taken.includes(name); number += 1) name = `${first}_${number}`;
  return name;
}

/** Return a new item of this kind. */
export function newItem(kind: string, label: string, items: readonly FormItem[]): FormItem {
  if (kind === "page") return { kind };
  const title = kind === "hidden" ? "" : label;
  if (!asksFor(kind)) return { kind, title };
  const name = nameFor(
    kind === "hidden" ? "value" : label,
    items.map((item) => item.name),
  );
  const item: FormItem = { kind, name, ...(title === "" ? {} : { title }) };
  return has(item, "options") ? { ...item, options: ["First choice", "Second choice"] } : item;
}

/** Return the item with another kind, without the settings that this kind does not have. */
export function withKind(item: FormItem, kind: string, items: readonly FormItem[]): FormItem {
  const next = newItem(kind, item.title ?? "Field", items);
  const made: FormItem = { kind };
  if (asksFor(kind)) made.name = item.name ?? next.name;
  if (item.title !== undefined && item.title !== "") made.title = item.title;
  else if (next.title !== undefined) made.title = next.title;
  if (asksFor(kind) && kind !== "hidden") {
    if (item.help !== undefined) made.help = item.help;
    if (item.required) made.required = true;
  }
  if (has(made, "options")) made.options = item.options ?? next.options;
  if (has(made, "placeholder") && item.placeholder !== undefined) made.placeholder = item.placeholder;
  return made;
}

/** Return the item with a new title. Its name follows as long as it was made from the title. */
export function withTitle(item: FormItem, title: string, others: readonly FormItem[]): FormItem {
  const next = { ...item, title: title === "" ? undefined : title };
  const taken = others.map((one) => one.name);
  const follows = item.name === nameFor(item.title ?? "", taken) || /^field(_\d+)?$/.test(item.name ?? "");
  return asksFor(item.kind) && follows && title !== "" ? { ...next, name: nameFor(title, taken) } : next;
}

/** The JSON Schema of each kind of answer; kinds that are missing have none, or are files. */
const ANSWERS: Record<string, Record<string, Json>> = {
  text: { type: "string" },
  long_text: { type: "string", "x-multiline": true },
  email: { type: "string" },
  number: { type: "number" },
  date: { type: "string", format: "date" },
  time: { type: "string" },
  datetime: { type: "string" },
  choice: { type: "string" },
  choices: { type: "array" },
  checkbox: { type: "boolean" },
  hidden: { type: "string" },
};

/** Return the JSON Schema of the answers to a form, to run its flow by hand; null if the value is not a form. */
export function answersSchema(value: Json | undefined): Record<string, Json> | null {
  const items = itemsOf(value)?.filter((item) => item.name !== undefined && item.kind in ANSWERS) ?? [];
  if (items.length === 0) return null;
  const properties = items.map((item) => {
    const made: Record<string, Json> = { ...ANSWERS[item.kind], title: item.title ?? item.name ?? "" };
    if (item.help) made.description = item.help;
    if (item.default !== undefined) made.default = item.default;
    if (item.kind === "choice") made.enum = item.options ?? [];
    if (item.kind === "choices") made.items = { type: "string", enum: item.options ?? [] };
    return [item.name, made];
  });
  const required = items.filter((item) => item.required).map((item) => item.name as string);
  return { type: "object", properties: Object.fromEntries(properties), required };
}

/** Return the items for the definition, without empty settings. */
export function written(items: readonly FormItem[]): Json | undefined {
  if (items.length === 0) return undefined;
  const isEmpty = (value: unknown) =>
    value === undefined || value === "" || value === false || (Array.isArray(value) && value.length === 0);
  return items.map((item) => Object.fromEntries(Object.entries(item).filter(([, value]) => !isEmpty(value)))) as Json;
}
