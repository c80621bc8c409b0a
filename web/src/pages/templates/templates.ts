/** What the gallery knows of templates: how they are found and what they need. */
import type { Schemas } from "@/api/client";

export type Template = Schemas["TemplateOut"];

/** "api" -> "API", "data" -> "Data". */
export function categoryLabel(category: string): string {
  return category.length <= 3 ? category.toUpperCase() : category.charAt(0).toUpperCase() + category.slice(1);
}

/** The ids of the node types in it, each once, in the order of the definition. */
export function typesIn(template: Template): string[] {
  const nodes = Array.isArray(template.definition.nodes) ? template.definition.nodes : [];
  return [...new Set(nodes.map((node: { type?: unknown }) => String(node.type)))];
}

/** Whether it works as it is: no credentials to make, nothing outside that must be there. */
export function isReady(template: Template): boolean {
  return template.credentials.length === 0 && (template.needs ?? []).length === 0;
}

export interface Wanted {
  search: string;
  category: string;
  ready: boolean;
}

/** Those in which every word of the search occurs, of the category where one is given; those that work first. */
export function matching(templates: readonly Template[], wanted: Wanted): Template[] {
  const words = wanted.search.toLowerCase().split(/\s+/).filter(Boolean);
  const found = templates.filter((template) => {
    if (wanted.category !== "" && template.category !== wanted.category) return false;
    if (wanted.ready && !isReady(template)) return false;
    const { name, description, category, tags } = template;
    const text = [name, description, category, ...tags, ...typesIn(template)].join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  });
  return found.sort((one, other) => Number(isReady(other)) - Number(isReady(one)));
}

/** The categories with how many templates each has, the fullest first. */
export function categoriesOf(templates: readonly Template[]): { category: string; count: number }[] {
  const counts = new Map<string, number>();
  for (const { category } of templates) counts.set(category, (counts.get(category) ?? 0) + 1);
  return [...counts]
    .map(([category, count]) => ({ category, count }))
    .sort((one, other) => other.count - one.count || one.category.localeCompare(other.category));
}

/** A few to begin with: small ones that work as they are, each of another category. */
export function firstSteps(templates: readonly Template[], most: number): Template[] {
  const size = (template: Template) => (template.definition.nodes as unknown[] | undefined)?.length ?? 0;
  const small = templates.filter(isReady).sort((one, other) => size(one) - size(other));
  const found = new Map<string, Template>();
  for (const template of small) if (!found.has(template.category)) found.set(template.category, template);
  return [...found.values()].slice(0, most);
}

/** Those of its credentials that the workspace does not have under this name and of this type. */
export function missingCredentials(
  template: Template,
  kept: readonly Pick<Schemas["CredentialOut"], "name" | "type">[],
): Template["credentials"] {
  return template.credentials.filter(
    (needed) => !kept.some((one) => one.name === needed.name && one.type === needed.type),
  );
}
