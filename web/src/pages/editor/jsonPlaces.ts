/** Positions of nodes in a definition's JSON text; pure. */
import { jsonLanguage } from "@codemirror/lang-json";
import type { Problem } from "./problems";

export interface Place {
  from: number;
  to: number;
}

function unquoted(text: string): string {
  try {
    return JSON.parse(text) as string;
  } catch {
    return text; // Text that is being typed; not a complete id yet.
  }
}

/** Return the position of the value of `key` in the object at `object`. */
function valueIn(text: string, object: Tree, key: string): Tree | undefined {
  for (let property = object.firstChild; property !== null; property = property.nextSibling) {
    if (property.name !== "Property") continue;
    const name = property.firstChild;
    if (name === null || unquoted(text.slice(name.from, name.to)) !== key) continue;
    return property.lastChild ?? undefined;
  }
  return undefined;
}

type Tree = ReturnType<typeof jsonLanguage.parser.parse>["topNode"];

/** Return for each node id the position of its object, and of the values directly in it and in its config. */
export function placesIn(text: string): Map<string, { node: Place; part: (field: string) => Place | undefined }> {
  const found = new Map<string, { node: Place; part: (field: string) => Place | undefined }>();
  const top = jsonLanguage.parser.parse(text).topNode.getChild("Object");
  const list = top === null ? undefined : valueIn(text, top, "nodes");
  if (list?.name !== "Array") return found;
  for (const node of list.getChildren("Object")) {
    const id = valueIn(text, node, "id");
    if (id === undefined) continue;
    found.set(unquoted(text.slice(id.from, id.to)), {
      node: { from: node.from, to: id.to },
      part: (field) => {
        let here: Tree | undefined = node;
        for (const key of field.split(/[.[\]]+/).filter(Boolean)) {
          const next: Tree | undefined = here.name === "Object" ? valueIn(text, here, key) : undefined;
          if (next === undefined) break;
          here = next;
        }
        return here === node ? undefined : { from: here.from, to: here.to };
      },
    });
  }
  return found;
}

export interface Marked extends Place {
  severity: "error" | "warning";
  message: string;
}

/** Return the problems with their positions; position 0 for a problem without one. */
export function markedIn(text: string, problems: readonly Problem[]): Marked[] {
  const places = placesIn(text);
  return problems.map((problem) => {
    const there = problem.nodeId === null ? undefined : places.get(problem.nodeId);
    const place = (problem.field !== null && there?.part(problem.field)) || there?.node || { from: 0, to: 1 };
    return { ...place, severity: problem.level, message: problem.message };
  });
}
