/** Fetch a run and its steps, polling while something changes. */

import { keepPreviousData, queryOptions, useQuery, useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import { useCatalogue } from "@/api/catalogue";
import { api, type Schemas, server } from "@/api/client";
import { LIVE } from "@/api/queries";
import { readDefinition } from "@/definition/read";
import type { Definition } from "@/definition/types";
import { type NodeState, nodeStates, type Step } from "./states";
import { hasEnded, moves, pollOf } from "./values";
import { type Counts, keyOf } from "./words";

// Fetch the steps of a run page by page; of an active run only the pages that may have changed.

type Page = Schemas["StepOutList"];

interface Pages {
  pages: { cursor: string | undefined; items: Step[]; next: string | undefined }[];
}

/** The maximum number of steps to fetch. The API has them all. */
const MOST_STEPS = 20_000;

/** Return true if a page can no longer change: no step on it is active, and none can be inserted. */
function isSettled(items: readonly Step[], after: number): boolean {
  return items.every((step, at) => step.number === after + 1 + at && !moves(step));
}

/** Return the number of leading pages that can be kept. */
function settledPages({ pages }: Pages): number {
  let settled = 0;
  let after = -1;
  for (const page of pages) {
    if (page.next === undefined || !isSettled(page.items, after)) break;
    after = page.items.at(-1)?.number ?? after;
    settled += 1;
  }
  return settled;
}

/** Return all steps of the run. `before` is the result of the previous call. */
async function loadSteps(run: string, before: Pages | undefined, signal: AbortSignal): Promise<Pages> {
  const pages = before === undefined ? [] : before.pages.slice(0, settledPages(before));
  let fetched = pages.reduce((sum, page) => sum + page.items.length, 0);
  let cursor = pages.at(-1)?.next;
  do {
    const query = { values: false, ...(cursor === undefined ? {} : { cursor }) };
    const { data } = await server.GET("/api/runs/{run}/steps", { params: { path: { run }, query }, signal });
    const page = data as Page;
    pages.push({ cursor, items: page.items as Step[], next: page.next_cursor ?? undefined });
    fetched += page.items.length;
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined && fetched < MOST_STEPS);
  return { pages };
}

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
    placeholderData: (previous, query) => (query?.queryKey[1] === id ? keepPreviousData(previous) : undefined),
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
export function useRunLogs(
  run: ({ id: string } & NonNullable<Parameters<typeof pollOf>[0]>) | undefined,
  enabled = true,
) {
  const ended = run !== undefined && hasEnded(run);
  return api.useQuery(
    "get",
    "/api/logs/{run}",
    { params: { path: { run: run?.id ?? "" }, query: { limit: SHOWN_ENTRIES } } },
    { enabled: enabled && run !== undefined, refetchInterval: pollOf(run), staleTime: ended ? 60_000 : 0 },
  );
}

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

// How many items went over the edges of a run, without loading outputs.

const NO_COUNTS: Counts = new Map();

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
        ? NO_COUNTS
        : new Map(
            data.items.flatMap(({ node_id, count, branches }): [string, number][] => [
              ...(count === null ? [] : [[node_id, count] as [string, number]]),
              ...branches.map((one): [string, number] => [keyOf(node_id, one.branch), one.count]),
            ]),
          ),
    [data],
  );
}
