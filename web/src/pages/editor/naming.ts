/** A node's id follows its name until the id is used elsewhere; pure. */
import { freshId } from "@/definition/graph";
import type { Definition, FlowNode } from "@/definition/types";
import { nodeOf } from "./changes";

const LONGEST = 40;

/** Return the name as an id, such as `get_orders`; undefined if nothing is left of it. */
export function idOf(name: string): string | undefined {
  const plain = name
    .normalize("NFD")
    .replace(/[\u0300-\u036f]/g, "")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "_")
    .slice(0, LONGEST)
    .replace(/^_+|_+$/g, "");
  if (plain === "") return undefined;
  return /^\d/.test(plain) ? `_${plain}` : plain;
}

function bare(id: string): string {
  return id.replace(/_\d+$/, "");
}

/** Return true if the id was made from the node's type or from its name, not by hand. */
function isAutomatic({ id, type }: FlowNode, name: string | undefined): boolean {
  const made = [freshId(type, []), name === undefined ? undefined : idOf(name)];
  return made.some((one) => one !== undefined && (id === one || bare(id) === one));
}

/** Return true if another node may read the output of this one by its id; text of code counts too. */
function isRead(definition: Definition, id: string): boolean {
  const mention = new RegExp(`\\b${id}\\b`);
  return definition.nodes.some((node) => {
    if (node.id === id) return false;
    const text = JSON.stringify([node.config ?? null, node.foreach ?? null, node.repeat ?? null]);
    return text.includes("steps") && mention.test(text);
  });
}

/**
 * Return the id that a node gets with its new name; undefined if it keeps its own: because it was chosen by hand, or
 * another node reads it, or it is in the published version, whose runs and metrics have it.
 */
export function followingId(
  definition: Definition,
  published: Definition,
  id: string,
  nameBefore: string | undefined,
): string | undefined {
  const node = nodeOf(definition, id);
  const wanted = idOf(node?.name ?? "");
  if (node === undefined || wanted === undefined || !isAutomatic(node, nameBefore)) return undefined;
  if (nodeOf(published, id) !== undefined || isRead(definition, id)) return undefined;
  const others = definition.nodes.map((one) => one.id).filter((one) => one !== id);
  const made = freshId(wanted, others);
  return made === id ? undefined : made;
}
