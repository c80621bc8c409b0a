/** Webhooks that do not send the response of a Respond node, with texts from the catalog; pure. */
import type { Catalogue } from "@/api/catalogue";
import { ancestors } from "@/definition/graph";
import type { Definition, FlowNode } from "@/definition/types";
import type { FieldSchema } from "@/forms/schema/types";
import { choiceLabel } from "@/forms/schema/words";

// The catalog does not say which types respond: the type and the setting are those of webhooks.
const RESPONDER = "respond";
const SETTING = "respond";
const BY_NODE = "node";
const STREAM = "stream";

export interface Unsent {
  /** The webhook. */
  node: FlowNode;
  name: string;
  /** The title of its setting, and the label of its value. */
  title: string;
  now: string;
}

/** Return the webhooks before the node that send another response than the node's. */
export function unsentBy(
  definition: Definition,
  catalogue: Catalogue | undefined,
  node: FlowNode,
): readonly Unsent[] {
  if (node.type !== RESPONDER || node.disabled) return [];
  const before = ancestors(definition, node.id);
  return definition.nodes.flatMap((one) => {
    const type = catalogue?.find(one.type);
    const setting = (type?.config_schema as FieldSchema | undefined)?.properties?.[SETTING];
    if (!before.has(one.id) || one.disabled || !type?.trigger || !setting?.enum?.includes(BY_NODE)) return [];
    const value = one.config?.[SETTING] ?? setting.default;
    if (value === BY_NODE || value === STREAM || value === undefined || !setting.enum.includes(value))
      return [];
    return [
      {
        node: one,
        name: one.name || type.name,
        title: setting.title ?? SETTING,
        now: choiceLabel(value, setting["x-enum-labels"]),
      },
    ];
  });
}

/** Return the webhook's config with which the node's response is sent. */
export function respondingByNode({ node }: Unsent): NonNullable<FlowNode["config"]> {
  return { ...node.config, [SETTING]: BY_NODE };
}
