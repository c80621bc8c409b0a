import { api } from "@/api/client";
import { CALM } from "@/api/queries";

/** Return the number of runs that wait for an answer, up to the length of the list that is fetched. */
export function useWaitingCount(): number {
  const { data } = api.useQuery(
    "get",
    "/api/runs",
    { params: { query: { waiting: true, limit: 50 } } },
    { refetchInterval: 3 * CALM, staleTime: CALM },
  );
  return data?.items.length ?? 0;
}
