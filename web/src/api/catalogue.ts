/** The server's node types. The app knows no node type by name: palette, forms and canvas read the catalog. */
import { useMemo } from "react";
import { api, type Schemas } from "./client";

export type NodeType = Schemas["NodeOut"];

/** A node's type and settings. */
interface Typed {
  type: string;
  config?: { [key: string]: unknown } | undefined;
}

export interface Catalogue {
  types: NodeType[];
  find: (type: string) => NodeType | undefined;
  /** Return the JSON Schema of a node's settings: that of its operation, if the node is a connector and it is loaded. */
  schemaOf: (node: Typed) => NodeType["config_schema"] | undefined;
  /** Return the name of a category of node types. */
  categoryName: (category: string) => string;
  /** A team's own node types that failed to load, with the reason. */
  broken: Schemas["BrokenOut"][];
}

/** Return the catalog, undefined while it loads. It changes only when the server restarts. */
export function useCatalogue(): { catalogue: Catalogue | undefined; error: unknown; retry: () => void } {
  const { data, error, refetch } = api.useQuery("get", "/api/nodes", {}, { staleTime: 10 * 60_000 });
  const catalogue = useMemo(() => {
    if (!data) return undefined;
    const byType = new Map(data.items.map((type) => [type.type, type]));
    const names = new Map(data.categories.map(({ category, name }) => [category, name]));
    return {
      types: data.items,
      find: (type: string) => byType.get(type),
      schemaOf: ({ type }: Typed) => byType.get(type)?.config_schema,
      categoryName: (category: string) => names.get(category) ?? category,
      broken: data.broken ?? [],
    };
  }, [data]);
  return { catalogue, error, retry: () => void refetch() };
}

// The packs that the server has loaded: the app leaves out what needs another.

export type Pack = "agents" | "connectors" | "forms" | "importing" | "reference" | "tables";

const SELDOM = 60_000;

/** The version of the server, its state and its packs. */
export function useServerState() {
  const often = { staleTime: SELDOM, refetchInterval: SELDOM, retry: false };
  return api.useQuery("get", "/api/ready", {}, often).data;
}

/** Return whether the server has the pack; true until it says that it has not. */
export function usePack(name: Pack): boolean {
  return useServerState()?.packs.includes(name) ?? true;
}

/** Return the packs that the server is known not to have. */
export function usePacksOff(): (name: Pack) => boolean {
  const packs = useServerState()?.packs;
  return (name) => packs !== undefined && !packs.includes(name);
}
