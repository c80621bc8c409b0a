import { api } from "@/api/client";
import { CALM } from "@/api/queries";

/** How many runs wait for an answer of people, as far as the list that is asked for goes. */
export function useWaitingCount(): number {
  const { data } = api.useQuery(
    "get",
    "/api/runs",
    { params: { query: { waiting: true, limit: 50 } } },
    { refetchInterval: 3 * CALM, staleTime: CALM },
  );
  return data?.items.length ?? 0;
}
