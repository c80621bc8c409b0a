/** Flows and runs that the server finds for the search of the palette, a few of each. */
import { keepPreviousData } from "@tanstack/react-query";
import { useMemo } from "react";
import { api } from "@/api/client";
import type { Command } from "./commands";
import { foundFlow, foundRun } from "./items";
import { hasPart, noRunWith, runIdIn } from "./runIds";

const MAX_FLOWS = 8;
const MAX_RUNS = 5;
const STALE = 10_000;

export interface Found {
  commands: Command[];
  isLoading: boolean;
  /** The reason why no run has the id in the search; null if one has it, or if the search has no id. */
  noRun: string | null;
  error: unknown;
}

/** Search for a text. `isOld`: the user has typed more since, so results are filtered by the new text too. */
export function useFound(search: string, isOld: boolean, go: (path: string) => void): Found {
  const part = runIdIn(search);
  const flows = api.useQuery(
    "get",
    "/api/flows",
    { params: { query: { search, limit: MAX_FLOWS, brief: true } } },
    { enabled: search !== "", staleTime: STALE, placeholderData: keepPreviousData },
  );
  const runs = api.useQuery(
    "get",
    "/api/runs",
    { params: { query: { search: part ?? "", limit: MAX_RUNS, brief: true } } },
    { enabled: part !== null, staleTime: STALE },
  );
  const flowItems = search === "" ? undefined : flows.data?.items;
  const found = !isOld && !flows.isPlaceholderData;
  const runItems = part === null ? undefined : runs.data?.items;
  return useMemo(() => {
    const ofIds = runItems?.filter((run) => part !== null && hasPart(run.id, part));
    return {
      commands: [
        ...(ofIds ?? []).map((run) => foundRun(run, go)),
        ...(flowItems ?? []).map((flow) => ({ ...foundFlow(flow, go), found })),
      ],
      isLoading: flows.isFetching || runs.isFetching,
      noRun: part !== null && ofIds?.length === 0 ? noRunWith(part) : null,
      error: flows.error ?? runs.error,
    };
  }, [flowItems, found, runItems, part, go, flows.isFetching, runs.isFetching, flows.error, runs.error]);
}
