/** Queries on templates: search, categories and requirements. */

import { useLocation } from "wouter";
import type { Catalogue, NodeType } from "@/api/catalogue";
import { api, type Schemas } from "@/api/client";
import { useReload } from "@/api/queries";
import { keepInput } from "@/runs/input/lastInput";
import { notify } from "@/ui/notify";

export type Template = Schemas["TemplateOut"];

const GOALS: Record<string, string> = {
  content: "Content and social",
  files: "Docs and files",
  meetings: "Meetings and calendars",
  monitoring: "Alerts and monitoring",
  orders: "Orders and payments",
  people: "People and HR",
  sales: "Leads and sales",
  sync: "Backups and syncs",
};

/** Return the label of a category: "api" -> "API", "data" -> "Data". */
export function categoryLabel(category: string): string {
  if (GOALS[category] !== undefined) return GOALS[category];
  return category.length <= 3 ? category.toUpperCase() : category.charAt(0).toUpperCase() + category.slice(1);
}

/** Return the node types in it, without duplicates, in the order of the definition. */
export function typesIn(template: Template): string[] {
  const nodes = Array.isArray(template.definition.nodes) ? template.definition.nodes : [];
  return [...new Set(nodes.map((node: { type?: unknown }) => String(node.type)))];
}

/** Return the node types of services in it, one for each service, in the order of the definition. */
export function servicesIn(template: Template, catalogue: Pick<Catalogue, "find"> | undefined): NodeType[] {
  const found = new Map<string, NodeType>();
  for (const type of typesIn(template)) {
    // The trigger of an app belongs to the connector of its name.
    const service = catalogue?.find(type)?.service ?? catalogue?.find(type.replace(/_trigger$/, ""))?.service;
    const connector = service && catalogue?.find(service.type);
    if (connector) found.set(connector.type, connector);
  }
  return [...found.values()];
}

/** Return the services of the templates by name. */
export function servicesOf(templates: readonly Template[], catalogue: Pick<Catalogue, "find"> | undefined): NodeType[] {
  const all = new Map(templates.flatMap((one) => servicesIn(one, catalogue)).map((one) => [one.type, one]));
  return [...all.values()].sort((one, other) => one.name.localeCompare(other.name));
}

/** Return true if the template needs no credentials and no external service. */
export function isReady(template: Template): boolean {
  return template.credentials.length === 0 && (template.needs ?? []).length === 0;
}

interface Wanted {
  search: string;
  category: string;
  service: string;
  ready: boolean;
}

/** Return the templates that contain every word of the search, optionally of one category; those ready to run first. */
export function matching(
  templates: readonly Template[],
  wanted: Wanted,
  catalogue?: Pick<Catalogue, "find">,
): Template[] {
  const words = wanted.search.toLowerCase().split(/\s+/).filter(Boolean);
  const found = templates.filter((template) => {
    if (wanted.category !== "" && template.category !== wanted.category) return false;
    if (wanted.ready && !isReady(template)) return false;
    const services = servicesIn(template, catalogue);
    if (wanted.service !== "" && !services.some((one) => one.type === wanted.service)) return false;
    const { name, description, category, tags } = template;
    const parts = [name, description, category, categoryLabel(category), ...tags, ...typesIn(template)];
    const text = [...parts, ...services.map((one) => one.name)].join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  });
  return found.sort((one, other) => Number(isReady(other)) - Number(isReady(one)));
}

/** Return the categories with their number of templates, largest first. */
export function categoriesOf(templates: readonly Template[]): { category: string; count: number }[] {
  const counts = new Map<string, number>();
  for (const { category } of templates) counts.set(category, (counts.get(category) ?? 0) + 1);
  return [...counts]
    .map(([category, count]) => ({ category, count }))
    .sort((one, other) => other.count - one.count || one.category.localeCompare(other.category));
}

/** Return a few templates to start with: small, ready to run, each of another category. */
export function firstSteps(templates: readonly Template[], most: number): Template[] {
  const size = (template: Template) => (template.definition.nodes as unknown[] | undefined)?.length ?? 0;
  const small = templates.filter(isReady).sort((one, other) => size(one) - size(other));
  const found = new Map<string, Template>();
  for (const template of small) if (!found.has(template.category)) found.set(template.category, template);
  return [...found.values()].slice(0, most);
}

/** Return the server's templates. They change only when the server restarts. */
export function useTemplates() {
  return api.useQuery("get", "/api/templates", {}, { staleTime: 10 * 60_000 });
}

/** Create a flow from a template and open it in the editor, where the first run uses the template's sample input. */
export function useTakeTemplate() {
  const reload = useReload("/api/flows");
  const [, go] = useLocation();
  const taking = api.useMutation("post", "/api/templates/{name}/use", {
    onError: (error: unknown) => notify.refused("The template could not be used", error),
  });
  async function take(template: Template) {
    const { id, sample_input: sample } = template;
    const flow = await taking.mutateAsync({ params: { path: { name: id } }, body: {} });
    if (sample !== null) keepInput(flow.id, JSON.stringify(sample, null, 2));
    void reload();
    const needsSetup = template.credentials.length > 0 || Object.keys(template.choose ?? {}).length > 0;
    go(needsSetup ? `/flows/${flow.id}/setup` : `/flows/${flow.id}`);
  }
  // The error is already shown.
  return {
    take: (template: Template) => void take(template).catch(() => undefined),
    isTaking: taking.isPending,
  };
}
