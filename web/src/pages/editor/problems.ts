/** Problems found by POST /api/workflows/validate, assigned to their nodes. */

import type { Catalogue } from "@/api/catalogue";
import type { Detail } from "@/api/client";
import type { Definition } from "@/definition/types";
import { titleOf, tokens, withTitle } from "@/forms/schema/problems";
import type { FieldSchema } from "@/forms/schema/types";

export interface Problem {
  level: "error" | "warning";
  message: string;
  /** The path as the server gives it: `nodes[2].config.url`. */
  path: string;
  nodeId: string | null;
  /** The part of the node: `config.url`, `retry.attempts`; null for the whole node. */
  field: string | null;
  /** The title of the setting, if the catalog has it. */
  title?: string;
}

/** A response of the validator; `of` is the validated definition. */
export interface Check {
  of: Definition;
  problems: readonly Problem[];
  byNode: ReadonlyMap<string, readonly Problem[]>;
  /** The outputs of each node as configured; undefined is the unnamed one. */
  ways: ReadonlyMap<string, readonly (string | undefined)[]>;
}

const IN_NODE = /^nodes\[(\d+)\](?:\.(.*))?$/;
const ON_EDGE = /^edges \((\S+) -> /;

/** Return the title of a part of a node: `config.url` is "URL". */
function titleIn(
  definition: Definition,
  catalogue: Catalogue | undefined,
  id: string | null,
  field: string | null,
): string | undefined {
  const node = definition.nodes.find((one) => one.id === id);
  const schema = node === undefined ? undefined : catalogue?.schemaOf(node);
  const [first, ...path] = tokens(field ?? "");
  return first === "config" ? titleOf(schema as FieldSchema | undefined, path) : undefined;
}

function problemOf(detail: Detail, definition: Definition, catalogue: Catalogue | undefined): Problem {
  const inNode = IN_NODE.exec(detail.path);
  const id = detail.node_id ?? definition.nodes[Number(inNode?.[1] ?? -1)]?.id ?? ON_EDGE.exec(detail.path)?.[1];
  const nodeId = id ?? null;
  const field = inNode?.[2] ?? null;
  const title = titleIn(definition, catalogue, nodeId, field);
  return {
    level: detail.level === "warning" ? "warning" : "error",
    message: detail.message,
    path: detail.path,
    nodeId,
    field,
    ...(title === undefined ? {} : { title }),
  };
}

export function checkOf(
  of: Definition,
  details: readonly Detail[],
  nodes: Readonly<Record<string, { branches: readonly string[]; unnamed: boolean }>>,
  catalogue?: Catalogue,
): Check {
  const problems = details.map((detail) => problemOf(detail, of, catalogue));
  const byNode = new Map<string, Problem[]>();
  for (const problem of problems) {
    if (problem.nodeId === null) continue;
    const list = byNode.get(problem.nodeId);
    if (list === undefined) byNode.set(problem.nodeId, [problem]);
    else list.push(problem);
  }
  const ways = Object.entries(nodes).map(
    ([id, { branches, unnamed }]) => [id, unnamed ? [undefined, ...branches] : branches] as const,
  );
  return { of, problems, byNode, ways: new Map(ways) };
}

/** Return the problem in one line: "URL is required". */
export function inWords(problem: Problem): string {
  if (problem.title !== undefined) return withTitle(problem.title, problem.message);
  const place = problem.field?.replace(/^config\./, "") ?? (problem.nodeId === null ? problem.path : "");
  return place === "" || place.startsWith("edges") ? problem.message : `${place}: ${problem.message}`;
}
