/** The entries of the palette and their order in a search; pure. */
import type { NodeType } from "@/api/catalogue";
import type { Schemas } from "@/api/client";
import type { FlowNode } from "@/definition/types";
import { isSpread, scoreIn, wordsOf } from "@/ui/match";
import type { NewNode } from "../changes";

export type Preset = Schemas["PresetOut"];

export interface Entry {
  /** `type http` or `preset pr_1`, the drag data. */
  key: string;
  name: string;
  about: string;
  /** The heading of its group. */
  group: string;
  type: NodeType | undefined;
  /** The technical name, for users who know it. */
  word: string;
  /** Names in other products, as in "delay; sleep". */
  also: string;
  node: NewNode;
  /** The command that installs its missing package. */
  install: string | null;
  /** The name of the service, of a connector or its trigger. */
  service?: string;
  /** True if only a search lists it: an operation of a service. */
  isOperation?: boolean;
}

/** The heading of the services. */
export const SERVICES = "Services";
/** The heading of their triggers. */
export const SERVICE_TRIGGERS = "New in a service";

export function entryOfType(type: NodeType, group = type.category): Entry {
  const [only, ...others] = type.operations ?? [];
  return {
    key: `type ${type.type}`,
    name: type.name,
    about: type.description.replaceAll("`", ""),
    group,
    type,
    word: type.type,
    also: (type.also ?? []).join("; "),
    service: type.operations ? type.service?.name : undefined,
    // Of one operation, nothing has to be chosen.
    node:
      only === undefined || others.length > 0
        ? { type: type.type }
        : { type: type.type, config: { operation: only.id } },
    install: type.install,
  };
}

function groupOf(type: NodeType): string {
  return type.trigger ? SERVICE_TRIGGERS : SERVICES;
}

/** Return the entries of connectors and their triggers, by service: those of its types, then their operations. */
export function entriesOfServices(types: readonly NodeType[]): Entry[] {
  const byService = new Map<string, NodeType[]>();
  for (const type of types) {
    const name = type.service?.name ?? type.name;
    byService.set(name, [...(byService.get(name) ?? []), type]);
  }
  return [...byService]
    .sort(([one], [other]) => one.localeCompare(other, "en"))
    .flatMap(([, own]) => {
      const sorted = [...own].sort((one, other) => Number(one.trigger) - Number(other.trigger));
      return [...sorted.map((type) => entryOfType(type, groupOf(type))), ...sorted.flatMap(operationsOf)];
    });
}

function operationsOf(type: NodeType): Entry[] {
  return (type.operations ?? []).map((one) => ({
    ...entryOfType(type, groupOf(type)),
    key: `operation ${type.type} ${one.id}`,
    name: `${type.name}: ${one.name}`,
    about: one.group,
    word: one.id,
    also: one.also.join("; "),
    node: { type: type.type, config: { operation: one.id } },
    isOperation: true,
  }));
}

export function entryOfPreset(preset: Preset, find: (type: string) => NodeType | undefined): Entry {
  const { id: _id, ...node } = preset.node as unknown as FlowNode;
  return {
    key: `preset ${preset.id}`,
    name: preset.name,
    about: preset.description,
    group: preset.title,
    type: find(node.type),
    word: preset.key,
    also: "",
    node: { ...node, name: node.name ?? preset.name },
    install: null,
  };
}

/** Return how well an entry matches a word; 0 for no match. */
function scoreOf(entry: Entry, word: string): number {
  const name = entry.name.toLowerCase();
  const best = Math.max(
    scoreIn(word, name, 100),
    scoreIn(word, entry.service?.toLowerCase() ?? "", 100),
    scoreIn(word, entry.word.toLowerCase(), 95),
    scoreIn(word, entry.also.toLowerCase(), 50),
    scoreIn(word, entry.group.toLowerCase(), 40),
    scoreIn(word, entry.about.toLowerCase(), 30),
  );
  if (best > 0) return best;
  return word.length > 2 && isSpread(word, name) ? 5 : 0;
}

/** Return the entries that match every word, best first; without a search, all in their own order. */
export function ranked(entries: readonly Entry[], search: string): Entry[] {
  const words = wordsOf(search);
  if (words.length === 0) return [...entries];
  return entries
    .map((entry) => {
      const scores = words.map((word) => scoreOf(entry, word));
      return { entry, score: scores.includes(0) ? 0 : scores.reduce((sum, one) => sum + one, 0) };
    })
    .filter(({ score }) => score > 0)
    .sort((one, other) => other.score - one.score)
    .map(({ entry }) => entry);
}

/** The heading of the nodes that most flows begin or go on with. */
export const SUGGESTED = "Suggested";
const TO_BEGIN = ["webhook", "schedule", "form", "manual"];
const TO_GO_ON = ["http", "if", "set", "code", "respond"];

/**
 * Return the groups of the list without a search: suggested nodes and recently used services first. Operations are only
 * among the latter.
 */
export function listed(
  entries: readonly Entry[],
  recent: readonly string[],
  isEmpty: boolean,
): { group: string; entries: Entry[] }[] {
  const byKey = new Map(entries.map((entry) => [entry.key, entry]));
  const of = (keys: readonly string[]) => keys.flatMap((key) => byKey.get(key) ?? []);
  const first = [
    { group: SUGGESTED, entries: of((isEmpty ? TO_BEGIN : TO_GO_ON).map((type) => `type ${type}`)) },
    { group: "Recently used services", entries: of(recent) },
  ];
  return [...first.filter((one) => one.entries.length > 0), ...grouped(entries.filter((entry) => !entry.isOperation))];
}

/** Group the entries by heading in the given order. Search results have no headings, since the best come first. */
export function grouped(entries: readonly Entry[]): { group: string; entries: Entry[] }[] {
  const groups = new Map<string, Entry[]>();
  for (const entry of entries) {
    const list = groups.get(entry.group);
    if (list === undefined) groups.set(entry.group, [entry]);
    else list.push(entry);
  }
  return [...groups].map(([group, list]) => ({ group, entries: list }));
}
