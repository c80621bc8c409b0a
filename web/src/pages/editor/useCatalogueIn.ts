/** Keep the store's catalog: with the settings of the operations that the flow's connectors call. */
import { useQueries } from "@tanstack/react-query";
import { useEffect, useMemo } from "react";
import { useStore } from "zustand";
import { type Catalogue, useCatalogue } from "@/api/catalogue";
import { type Connector, connectorQuery } from "@/api/connectors";
import type { EditorStore } from "./store";

/** Return the catalog in which a connector's node has the schema of its operation, where the connector is loaded. */
export function withConnectors(catalogue: Catalogue, connectors: readonly Connector[]): Catalogue {
  if (connectors.length === 0) return catalogue;
  const byType = new Map(connectors.map((one) => [one.type, one]));
  return {
    ...catalogue,
    schemaOf: (node) => {
      const operations = byType.get(node.type)?.operations ?? [];
      const found = operations.find((one) => one.id === node.config?.operation)?.config_schema;
      return (found as Record<string, unknown> | undefined) ?? catalogue.schemaOf(node);
    },
  };
}

function loadedOf(results: { data: Connector | undefined }[]): Connector[] {
  return results.flatMap(({ data }) => (data === undefined ? [] : [data]));
}

export function useCatalogueIn(store: EditorStore): void {
  const { catalogue } = useCatalogue();
  // A text, so that a change of the definition that adds no service renders nothing.
  const used = useStore(store, ({ definition: { nodes } }) =>
    [...new Set(nodes.map((node) => node.type))]
      .filter((type) => catalogue?.find(type)?.operations)
      .join(" "),
  );
  const types = useMemo(() => used.split(" ").filter(Boolean), [used]);
  const connectors = useQueries({ queries: types.map(connectorQuery), combine: loadedOf });
  useEffect(() => {
    if (catalogue !== undefined) store.getState().setCatalogue(withConnectors(catalogue, connectors));
  }, [store, catalogue, connectors]);
}
