/** Find a text in a flow: in names, ids, types, settings, expressions and notes. Pure. */
import type { Catalogue } from "@/api/catalogue";
import type { Definition, FlowNode, Json } from "@/definition/types";
import type { FieldSchema } from "@/forms/schema/types";
import { nameOf, operationOf } from "@/graph/nameOf";

/** A place with the text: of a node, of the canvas (a note, a group), or of the flow's settings. */
export interface Hit {
  key: string;
  /** The node to select; null for a note and for settings of the flow. */
  nodeId: string | null;
  /** The part of the node to open: `config.url`, `notes`, `name`. */
  path: string | null;
  /** The position to show, for a note. */
  spot?: { x: number; y: number };
  /** The name of the node, "Note", or "Flow". */
  owner: string;
  /** The title of the setting. */
  title: string;
  before: string;
  match: string;
  after: string;
}

/** Texts for readers, as the definition has them. */
interface Texts {
  notes?: {
    id: string;
    text?: string;
    position?: { x: number; y: number };
    width?: number;
    height?: number;
  }[];
  groups?: { id: string; name?: string; nodes: string[] }[];
}

const MAX_HITS = 200;
const MAX_DEPTH = 20;
const AROUND = 30; // characters

interface Found {
  before: string;
  match: string;
  after: string;
}

/** Return the first place of the text with the text around it; null if there is none. */
export function foundIn(text: string, search: string): Found | null {
  const lower = text.toLowerCase();
  // A letter whose lower case is longer would shift the positions.
  const at = (lower.length === text.length ? lower : text).indexOf(search.toLowerCase());
  if (at < 0) return null;
  const end = at + search.length;
  const start = Math.max(0, at - AROUND);
  const flat = (part: string) => part.replace(/\s+/g, " ");
  return {
    before: (start > 0 ? "…" : "") + flat(text.slice(start, at)),
    match: flat(text.slice(at, end)),
    after: flat(text.slice(end, end + 2 * AROUND)) + (end + 2 * AROUND < text.length ? "…" : ""),
  };
}

interface Leaf {
  /** Below the config: `headers.Accept`, `rows[2].name`. */
  path: string;
  title: string;
  texts: string[];
}

function schemaOf(schema: FieldSchema | undefined, key: string): FieldSchema | undefined {
  const own = schema?.properties?.[key];
  if (own !== undefined) return own;
  for (const option of [...(schema?.oneOf ?? []), ...(schema?.anyOf ?? [])]) {
    const found = schemaOf(option, key);
    if (found !== undefined) return found;
  }
  const more = schema?.additionalProperties;
  return typeof more === "object" ? { ...more, title: undefined } : undefined;
}

function itemsOf(schema: FieldSchema | undefined): FieldSchema | undefined {
  return schema?.items ?? [...(schema?.oneOf ?? []), ...(schema?.anyOf ?? [])].find((one) => one.items)?.items;
}

/** Yield the single values of a setting, with the titles on the way to them. */
function* leaves(value: Json, schema: FieldSchema | undefined, path: string, titles: string[]): Generator<Leaf> {
  const title = titles.join(" → ");
  if (titles.length > MAX_DEPTH) return;
  if (Array.isArray(value)) {
    for (const [at, item] of value.entries())
      yield* leaves(item, itemsOf(schema), `${path}[${at}]`, [...titles, `${at + 1}`]);
  } else if (typeof value === "object" && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      const own = schemaOf(schema, key);
      const below = path === "" ? key : `${path}.${key}`;
      // A key that no setting has is a name that the user wrote.
      if (own?.title === undefined) yield { path: below, title, texts: [key] };
      yield* leaves(item, own, below, [...titles, own?.title ?? key]);
    }
  } else if (value !== null) {
    const text = String(value);
    yield { path, title, texts: [text, schema?.["x-enum-labels"]?.[text] ?? ""] };
  }
}

function* placesOf(node: FlowNode, catalogue: Catalogue | undefined): Generator<Leaf> {
  const type = catalogue?.find(node.type);
  if (node.name) yield { path: "name", title: "Name", texts: [node.name] };
  yield { path: "id", title: "Id", texts: [node.id] };
  yield { path: "type", title: "Type", texts: [type?.name ?? "", node.type, operationOf(node, type) ?? ""] };
  const schema = catalogue?.schemaOf(node) as FieldSchema | undefined;
  for (const leaf of leaves(node.config ?? {}, schema, "", [])) yield { ...leaf, path: `config.${leaf.path}` };
  if (node.foreach !== undefined) yield { path: "foreach", title: "Loop over items", texts: [asText(node.foreach)] };
  if (node.repeat !== undefined) yield { path: "repeat", title: "Repeat until", texts: [node.repeat.until] };
  if (node.rate?.key) yield { path: "rate", title: "Rate limit", texts: [node.rate.key] };
  if (node.notes) yield { path: "notes", title: "Notes", texts: [node.notes] };
}

function asText(value: Json): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Return the nodes as they are read on the canvas: from left to right, then from top to bottom. */
function inOrder(nodes: readonly FlowNode[]): FlowNode[] {
  const place = ({ position }: FlowNode) => position ?? { x: 0, y: 0 };
  return [...nodes].sort((one, other) => place(one).x - place(other).x || place(one).y - place(other).y);
}

function* allPlaces(
  definition: Definition & Texts,
  catalogue: Catalogue | undefined,
): Generator<Leaf & Pick<Hit, "nodeId" | "owner" | "spot">> {
  for (const node of inOrder(definition.nodes)) {
    const owner = nameOf(node, catalogue?.find(node.type));
    for (const leaf of placesOf(node, catalogue)) yield { ...leaf, nodeId: node.id, owner };
  }
  for (const { id, text = "", position, width = 240, height = 160 } of definition.notes ?? []) {
    const spot = position && { x: position.x + width / 2, y: position.y + height / 2 };
    yield { path: `note ${id}`, title: "Text", texts: [text], nodeId: null, owner: "Note", spot };
  }
  for (const { id, name = id, nodes } of definition.groups ?? [])
    yield { path: "group", title: "Name", texts: [name], nodeId: nodes[0] ?? null, owner: `Group ${name}` };
  for (const [key, value] of Object.entries(definition.settings?.vars ?? {}))
    yield {
      path: `vars.${key}`,
      title: "Variables",
      texts: [`${key}: ${asText(value)}`],
      nodeId: null,
      owner: "Flow",
    };
}

/** Return the places of a flow that contain the text, ignoring case: at most one for each setting. */
export function hitsIn(definition: Definition, catalogue: Catalogue | undefined, search: string): Hit[] {
  const wanted = search.trim();
  const hits: Hit[] = [];
  if (wanted === "") return hits;
  for (const { texts, path, ...place } of allPlaces(definition, catalogue)) {
    const found = texts.map((text) => foundIn(text, wanted)).find((one) => one !== null);
    if (found === undefined) continue;
    hits.push({ ...place, ...found, path, key: `${place.nodeId} ${path} ${hits.length}` });
    if (hits.length === MAX_HITS) break;
  }
  return hits;
}

/** Return the number of hits in words, with the place of the current one. */
export function countOf(hits: readonly Hit[], at: number | null): string {
  if (hits.length === 0) return "No match";
  const all = hits.length === MAX_HITS ? `${MAX_HITS} or more` : `${hits.length}`;
  if (at !== null) return `${at + 1} of ${all}`;
  return hits.length === 1 ? "1 match" : `${all} matches`;
}

/** The frame around the setting that contains a match. The focus stays in the search field. */
const MARK = "data-found";
const FRAMES = 180;

export function unmarkField(): void {
  for (const element of document.querySelectorAll(`[${MARK}]`)) element.removeAttribute(MARK);
}

/** Mark the element once it is rendered, and scroll it into view. A later mark replaces an earlier one. */
export function markField(find: () => HTMLElement | null | undefined): void {
  unmarkField();
  latest = find;
  mark(find, FRAMES);
}

let latest: unknown = null;

function mark(find: () => HTMLElement | null | undefined, frames: number): void {
  if (latest !== find) return;
  const element = find();
  if (element == null) {
    if (frames > 0) requestAnimationFrame(() => mark(find, frames - 1));
    return;
  }
  element.setAttribute(MARK, "");
  element.scrollIntoView({ block: "center" });
}
