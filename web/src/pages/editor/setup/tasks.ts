/** The remaining tasks before a flow made from a template works; pure. */
import type { Catalogue } from "@/api/catalogue";
import type { Credential } from "@/api/credentials";
import type { Definition, FlowNode, Json } from "@/definition/types";
import type { FieldSchema } from "@/forms/schema/types";
import { nameOf } from "@/graph/nameOf";
import { inWords, type Problem } from "../problems";

export type Task = { id: string; done: boolean } & (
  | { kind: "credential"; name: string; types: readonly string[]; purpose: string | undefined }
  | { kind: "choose"; nodeId: string; node: string; keys: readonly string[] }
  | { kind: "variable"; name: string; value: string }
  | { kind: "setting"; nodeId: string; node: string; field: string; value: string }
  | { kind: "problem"; nodeId: string | null; node: string; field: string | null; message: string }
  | { kind: "run" }
  | { kind: "activate" }
);

/** The part of a template that says what its flow needs. */
export interface Origin {
  definition: Pick<Definition, "nodes" | "settings">;
  credentials: readonly { name: string; type: string; for: string }[];
  /** The settings that every user chooses, by node. */
  choose?: Readonly<Record<string, readonly string[]>>;
}

interface Setup {
  definition: Definition;
  catalogue: Catalogue;
  /** The template, if it is known to this server. */
  origin: Origin | undefined;
  credentials: readonly Pick<Credential, "name" | "type">[];
  problems: readonly Problem[];
  hasRun: boolean;
  isActive: boolean;
  /** True if a trigger of the flow starts it by itself. */
  starts: boolean;
}

/** Domains that exist for examples only (RFC 2606): a value with one is to be replaced. */
const EXAMPLE = /(?:^|[^\w-])example\.(?:com|org|net)\b/i;

/** Return the first text in a value that has an example's address. */
function exampleIn(value: Json | undefined): string | undefined {
  if (typeof value === "string") return EXAMPLE.test(value) ? value : undefined;
  if (typeof value !== "object" || value === null) return undefined;
  for (const part of Object.values(value)) {
    const found = exampleIn(part as Json);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Return the credential types of each key of a node's settings that names a credential. */
function credentialKeys(catalogue: Catalogue, node: FlowNode): [key: string, types: readonly string[]][] {
  const properties = (catalogue.find(node.type)?.config_schema.properties ?? {}) as Record<string, FieldSchema>;
  return Object.entries(properties).flatMap(([key, schema]) => {
    const types = schema["x-credential"];
    return types ? [[key, types] as [string, readonly string[]]] : [];
  });
}

export interface Account {
  /** The credential that the nodes name. */
  name: string;
  types: readonly string[];
  uses: readonly { node: FlowNode; key: string }[];
}

/** Return the credentials that nodes name in their settings, in the order of the nodes. */
export function accountsOf(definition: Definition, catalogue: Catalogue): Account[] {
  const found = new Map<string, { types: readonly string[]; uses: { node: FlowNode; key: string }[] }>();
  for (const node of definition.nodes) {
    for (const [key, types] of credentialKeys(catalogue, node)) {
      const name = node.config?.[key];
      if (typeof name !== "string" || name === "") continue;
      const known = found.get(name) ?? { types, uses: [] };
      found.set(name, { ...known, uses: [...known.uses, { node, key }] });
    }
  }
  return [...found].map(([name, more]) => ({ name, ...more }));
}

function credentialTasks({ definition, catalogue, origin, credentials }: Setup): Task[] {
  const needed = new Map<string, { types: readonly string[]; purpose: string | undefined }>();
  for (const { name, type, for: purpose } of origin?.credentials ?? []) needed.set(name, { types: [type], purpose });
  const used = new Set<string>();
  for (const { name, types, uses } of accountsOf(definition, catalogue)) {
    used.add(name);
    const known = needed.get(name);
    // A service accepts each of its types, of which the template names the first.
    const isService = uses.some(({ node }) => catalogue.find(node.type)?.mark);
    if (known === undefined || isService) needed.set(name, { types, purpose: known?.purpose });
  }
  return [...needed].flatMap(([name, { types, purpose }]) => {
    // Another one was chosen in its place, or its node was removed.
    if (!used.has(name) && definition.nodes.length > 0 && !isNamed(definition, name)) return [];
    const done = credentials.some((one) => one.name === name && (types.length === 0 || types.includes(one.type)));
    return [{ id: `credential ${name}`, kind: "credential" as const, name, types, purpose, done }];
  });
}

/** Return true if the definition names the credential anywhere, such as in an expression. */
function isNamed(definition: Definition, name: string): boolean {
  return JSON.stringify(definition.nodes).includes(JSON.stringify(name).slice(1, -1));
}

function variableTasks({ definition, origin }: Setup): Task[] {
  const now = definition.settings?.vars ?? {};
  const before = origin?.definition.settings?.vars ?? {};
  return Object.keys(now).flatMap((name) => {
    const left = exampleIn(now[name]);
    const first = exampleIn(before[name]);
    if (left === undefined && first === undefined) return [];
    const value = left ?? (typeof now[name] === "string" ? now[name] : "");
    return [{ id: `variable ${name}`, kind: "variable" as const, name, value, done: left === undefined }];
  });
}

function settingTasks({ definition, catalogue, origin }: Setup): Task[] {
  const before = new Map(origin?.definition.nodes.map((node) => [node.id, node.config ?? {}]));
  return definition.nodes.flatMap((node) =>
    Object.keys(node.config ?? {}).flatMap((key) => {
      const left = exampleIn(node.config?.[key]);
      const first = exampleIn(before.get(node.id)?.[key]);
      if (left === undefined && first === undefined) return [];
      const name = nameOf(node, catalogue.find(node.type));
      const place = { nodeId: node.id, node: name, field: `config.${key}` };
      const id = `setting ${node.id} ${key}`;
      return [{ id, kind: "setting" as const, ...place, value: left ?? "", done: left === undefined }];
    }),
  );
}

/** A choice is made if its first setting has a value, and each that is required. */
function chooseTasks({ definition, catalogue, origin }: Setup): Task[] {
  return definition.nodes.flatMap((node) => {
    const keys = origin?.choose?.[node.id];
    if (keys === undefined) return [];
    const { properties = {}, required = [] } = (catalogue.schemaOf(node) ?? {}) as FieldSchema;
    const isSet = (key: string) => (node.config?.[key] ?? properties[key]?.default) !== undefined;
    const done = keys.every((key, index) => isSet(key) || (index > 0 && !required.includes(key)));
    const name = nameOf(node, catalogue.find(node.type));
    return [{ id: `choose ${node.id}`, kind: "choose" as const, nodeId: node.id, node: name, keys, done }];
  });
}

/** Errors are tasks too, unless another task is about the same field. */
function problemTasks({ definition, catalogue, origin, problems }: Setup): Task[] {
  const nodes = new Map(definition.nodes.map((node) => [node.id, node]));
  return problems
    .filter(({ level, nodeId, field }) => {
      const keys = nodeId === null ? undefined : origin?.choose?.[nodeId];
      return level === "error" && !keys?.some((key) => field === `config.${key}`);
    })
    .map((problem) => {
      const { nodeId, field, message, path } = problem;
      const node = nodeId === null ? undefined : nodes.get(nodeId);
      const name = node === undefined ? "Flow" : nameOf(node, catalogue.find(node.type));
      return {
        id: `problem ${path} ${message}`,
        kind: "problem",
        nodeId,
        node: name,
        field,
        message: inWords(problem),
        done: false,
      };
    });
}

/** Return the tasks in the order in which they are best done. */
export function tasksOf(setup: Setup): Task[] {
  return [
    ...credentialTasks(setup),
    ...chooseTasks(setup),
    ...variableTasks(setup),
    ...settingTasks(setup),
    ...problemTasks(setup),
    { id: "run", kind: "run", done: setup.hasRun },
    ...(setup.starts ? [{ id: "activate", kind: "activate" as const, done: setup.isActive }] : []),
  ];
}
