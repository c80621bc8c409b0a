/** The versions of a flow. */
import { useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import { api, type Schemas, server } from "@/api/client";
import { parseDefinition } from "@/definition/read";
import type { Definition } from "@/definition/types";
import { PAGED } from "@/ui/LoadMore";

export type Version = Schemas["VersionItemOut"];

/** Fetch the versions page by page, newest first, without their definitions. */
export function useVersions(id: string) {
  return api.useInfiniteQuery(
    "get",
    "/api/workflows/{flow}/versions",
    { params: { path: { flow: id }, query: { limit: 50, brief: true, summary: true } } },
    PAGED,
  );
}

/** Fetch the definition of a version, which never changes; nothing for numbers below 1. */
export function useDefinition(id: string, number: number) {
  const query = api.useQuery(
    "get",
    "/api/workflows/{flow}/versions/{number}",
    { params: { path: { flow: id, number } } },
    { enabled: number > 0, staleTime: Number.POSITIVE_INFINITY },
  );
  const text = query.data?.definition_json;
  const definition = useMemo<Definition | undefined>(
    () => (text === undefined ? undefined : parseDefinition(text)),
    [text],
  );
  return { definition, error: query.error as unknown, retry: () => void query.refetch() };
}

/** Make the definition of a version the flow's current one. Return the new version number. */
export function useRestore(id: string): (version: number) => Promise<number> {
  const client = useQueryClient();
  return async (version) => {
    const { data } = await server.POST("/api/workflows/{flow}/restore", {
      params: { path: { flow: id } },
      body: { version },
    });
    await client.invalidateQueries({ queryKey: ["get", "/api/workflows/{flow}/versions"] });
    void client.invalidateQueries({ queryKey: ["get", "/api/workflows/{flow}"] });
    void client.invalidateQueries({ queryKey: ["get", "/api/flows"] });
    return data?.version ?? version;
  };
}

/** Set the name of a version and the note about it; null for none. */
export function useNaming(id: string) {
  const client = useQueryClient();
  return async (number: number, body: { name: string | null; note: string | null }) => {
    const params = { path: { flow: id, number } };
    await server.PATCH("/api/workflows/{flow}/versions/{number}", { params, body });
    await client.invalidateQueries({ queryKey: ["get", "/api/workflows/{flow}/versions"] });
  };
}
