/** How many items went over the edges of a run, without loading outputs. */
import { useMemo } from "react";
import { api } from "@/api/client";
import { type Counts, keyOf } from "./edgeLabel";
import { hasEnded } from "./moving";
import type { Run } from "./useRun";

const NONE: Counts = new Map();

/** Fetch the counts of a run that has ended; they never change. */
export function useCounts(run: Run | undefined): Counts {
  const { data } = api.useQuery(
    "get",
    "/api/runs/{run}/counts",
    { params: { path: { run: run?.id ?? "" } } },
    { enabled: run !== undefined && hasEnded(run), staleTime: Number.POSITIVE_INFINITY },
  );
  return useMemo(
    () =>
      data === undefined
        ? NONE
        : new Map(
            data.items.flatMap(({ node_id, count, branches }): [string, number][] => [
              ...(count === null ? [] : [[node_id, count] as [string, number]]),
              ...branches.map((one): [string, number] => [keyOf(node_id, one.branch), one.count]),
            ]),
          ),
    [data],
  );
}
