/** The node types of the server. Nothing in the app knows a node type by name: palette, forms and canvas read these. */
import { useMemo } from "react";
import { api, type Schemas } from "./client";

export type NodeType = Schemas["NodeOut"];

export interface Catalogue {
  types: NodeType[];
  find: (type: string) => NodeType | undefined;
  /** Types of a team's own that could not be loaded, and why. */
  broken: Schemas["BrokenOut"][];
}

/** The catalogue, undefined until it is there. It changes only when the server is started anew. */
export function useCatalogue(): { catalogue: Catalogue | undefined; error: unknown; retry: () => void } {
  const { data, error, refetch } = api.useQuery("get", "/api/nodes", {}, { staleTime: 10 * 60_000 });
  const catalogue = useMemo(() => {
    if (!data) return undefined;
    const byType = new Map(data.items.map((type) => [type.type, type]));
    return { types: data.items, find: (type: string) => byType.get(type), broken: data.broken ?? [] };
  }, [data]);
  return { catalogue, error, retry: () => void refetch() };
}
