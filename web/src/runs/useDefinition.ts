import { queryOptions, useQuery } from "@tanstack/react-query";
import { server } from "@/api/client";
import { readDefinition } from "@/definition/read";
import type { Definition } from "@/definition/types";

/** The query of the definition with which a run started; it never changes. */
export function definitionOf(run: string) {
  return queryOptions({
    queryKey: ["definition of run", run],
    queryFn: async ({ signal }): Promise<Definition> => {
      const { data } = await server.GET("/api/runs/{run}/definition", { params: { path: { run } }, signal });
      return readDefinition(data);
    },
    staleTime: Number.POSITIVE_INFINITY,
  });
}

export function useDefinition(run: string) {
  return useQuery(definitionOf(run));
}
