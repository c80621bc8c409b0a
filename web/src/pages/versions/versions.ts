/** The versions of a flow as the page shows them. */
import { useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import { api, type Schemas, server } from "@/api/client";
import { diffOf, summaryOf } from "@/definition/diff";
import { parseDefinition } from "@/definition/read";
import type { Definition } from "@/definition/types";
import { PAGED } from "@/ui/LoadMore";

export type Version = Schemas["VersionOut"];

/** The versions, the newest first, page by page. */
export function useVersions(id: string) {
  return api.useInfiniteQuery(
    "get",
    "/api/workflows/{flow}/versions",
    { params: { path: { flow: id }, query: { limit: 20 } } },
    PAGED,
  );
}

/** The definition of a version, which never changes; none is asked for below 1. */
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

/** What each version changed against the one before it, as far as that is there. */
export function summaries(versions: readonly Version[]): Map<number, string> {
  const found = new Map<number, string>();
  for (const [at, version] of versions.entries()) {
    const before = versions[at + 1];
    if (version.version === 1) found.set(1, "The first version");
    else if (before?.version === version.version - 1) {
      const diff = diffOf(parseDefinition(before.definition_json), parseDefinition(version.definition_json));
      found.set(version.version, summaryOf(diff));
    }
  }
  return found;
}

/** The names of the members by their ids; whoever has left has none. */
export function useNames(): (userId: string | null | undefined) => string {
  const { data } = api.useQuery("get", "/api/members", {}, { staleTime: 5 * 60_000 });
  const names = useMemo(() => new Map(data?.items.map((member) => [member.user_id, member.name])), [data]);
  return (userId) => (userId ? (names.get(userId) ?? "Somebody who has left") : "Headrace");
}

/** Makes the definition of a version the flow's again, and tells which version that is. */
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
