/** Fetch a run and its steps, polling while something changes. */
import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import { useCatalogue } from "@/api/catalogue";
import { api, type Schemas, server } from "@/api/client";
import { LIVE } from "@/api/queries";
import { loadSteps, type Pages } from "./load";
import { hasEnded, pollOf } from "./moving";
import { type NodeState, nodeStates, type Step } from "./states";

export type Run = Schemas["RunWholeOut"];

/** `every` overrides the poll interval in milliseconds while the run is active. */
export function useRun(id: string | null, every?: number) {
  return api.useQuery(
    "get",
    "/api/runs/{run}",
    { params: { path: { run: id ?? "" } } },
    {
      enabled: id !== null,
      refetchInterval: (query: { state: { data: unknown } }) => {
        const pause = pollOf(query.state.data as Run | undefined);
        return pause !== false && every !== undefined ? Math.min(every, pause) : pause;
      },
    },
  );
}

export interface RunSteps {
  steps: Step[];
  states: ReadonlyMap<string, NodeState>;
  /** True once the steps are loaded. */
  ready: boolean;
  /** True if there are more steps than the app fetches. */
  more: boolean;
  error: unknown;
  retry: () => void;
}

const NONE: Step[] = [];

/** Fetch the steps of a run. They are fetched once more when it ends, and while a cancelled run settles. */
export function useRunSteps(run: Run | undefined, every?: number): RunSteps {
  const client = useQueryClient();
  const { catalogue } = useCatalogue();
  const id = run?.id ?? "";
  const ended = run !== undefined && hasEnded(run);
  const pause = pollOf(run);
  const { data, error, refetch } = useQuery({
    queryKey: ["steps", id, ended],
    queryFn: ({ signal }) => {
      const before = client.getQueryData<Pages>(["steps", id, false]);
      return loadSteps(id, before, signal);
    },
    enabled: run !== undefined,
    refetchInterval: pause !== false && every !== undefined ? Math.min(every, pause) : pause,
    staleTime: ended ? Number.POSITIVE_INFINITY : 0,
    placeholderData: (previous, query) =>
      query?.queryKey[1] === id ? keepPreviousData(previous) : undefined,
  });
  const steps = useMemo(() => data?.pages.flatMap((page) => page.items) ?? NONE, [data]);
  const states = useMemo(() => nodeStates(steps, ended, catalogue), [steps, ended, catalogue]);
  return {
    steps,
    states,
    ready: data !== undefined,
    more: data?.pages.at(-1)?.next !== undefined,
    error,
    retry: () => void refetch(),
  };
}

/** Fetch one step with input and output; poll until it has ended. */
export function useStep(run: Run, { number, status }: Pick<Step, "number" | "status">) {
  const ended = hasEnded(run);
  return useQuery({
    queryKey: ["step", run.id, number, status],
    queryFn: async ({ signal }) => {
      const path = { run: run.id, number };
      const { data } = await server.GET("/api/runs/{run}/steps/{number}", { params: { path }, signal });
      return data as Schemas["StepOut"];
    },
    staleTime: 30_000,
    refetchInterval: (query) => (!ended && query.state.data?.finished_at === null ? LIVE : false),
    placeholderData: (previous, query) =>
      query?.queryKey[1] === run.id && query.queryKey[2] === number ? previous : undefined,
  });
}

/** Entries of a log that the app shows: a browser cannot show any number. */
export const SHOWN_ENTRIES = 1_000;

/** Fetch the log of a run, oldest first, up to SHOWN_ENTRIES. */
export function useRunLogs(run: Run | undefined, enabled = true) {
  const ended = run !== undefined && hasEnded(run);
  return api.useQuery(
    "get",
    "/api/logs/{run}",
    { params: { path: { run: run?.id ?? "" }, query: { limit: SHOWN_ENTRIES } } },
    { enabled: enabled && run !== undefined, refetchInterval: pollOf(run), staleTime: ended ? 60_000 : 0 },
  );
}
