/** The outputs of a flow's last run, node by node: for expression completion and previews. */
import { queryOptions, useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useMemo } from "react";
import type { Json } from "@/definition/types";
import { api, type Schemas, server } from "./client";

type Run = Pick<Schemas["RunOut"], "id" | "status" | "created_at" | "finished_at"> & { input?: unknown };
type Step = Schemas["StepOut"];

export interface LastRun {
  /** Undefined if the flow has not run, or while that is unknown. */
  run: Run | undefined;
  isLoading: boolean;
  error: unknown;
  /** Return a node's last step with input and output; undefined if the node was not executed. */
  load: (nodeId: string) => Promise<Step | undefined>;
}

/** Return a value of a step. A value that is too large for the response is a reference, so undefined. */
export function knownValue(value: unknown): Json | undefined {
  if (typeof value !== "object" || value === null) return value as Json;
  return "$ref" in value && "bytes" in value ? undefined : (value as Json);
}

/** Each item of a loop is a step; the step without an index is the whole loop. */
function lastOf(steps: Step[]): Step | undefined {
  const executed = steps.filter((one) => one.status !== "skipped");
  return executed.findLast((one) => one.index === null || one.index === undefined) ?? executed.at(-1);
}

/** Return the last step of a node in a run, with input and output; null if the node was not executed. */
export async function stepOf(runId: string, nodeId: string): Promise<Step | null> {
  const { data: outline } = await server.GET("/api/runs/{run}/steps", {
    params: { path: { run: runId }, query: { node_id: nodeId, values: false } },
  });
  const last = lastOf(outline?.items ?? []);
  if (last?.number === undefined) return null;
  const { data } = await server.GET("/api/runs/{run}/steps/{number}", {
    params: { path: { run: runId, number: last.number } },
  });
  return data ?? null;
}

function hasEnded(run: Run | undefined): boolean {
  return run?.finished_at != null;
}

/**
 * How a node's last step is fetched and kept. The end of the run is a part of the key: a node without a step in an
 * active run may have one when the run has ended.
 */
function stepQuery(runId: string, ended: boolean, nodeId: string) {
  return queryOptions({
    queryKey: ["node-step", runId, ended, nodeId],
    queryFn: () => stepOf(runId, nodeId),
    staleTime: ended ? Number.POSITIVE_INFINITY : 2_000,
  });
}

/** Return the given run, or the flow's latest run. */
export function useLastRun(flowId: string, runId?: string): LastRun {
  const client = useQueryClient();
  const named = api.useQuery(
    "get",
    "/api/runs/{run}",
    { params: { path: { run: runId ?? "" } } },
    { enabled: runId !== undefined },
  );
  const latest = api.useQuery(
    "get",
    "/api/runs",
    { params: { query: { workflow_id: flowId, limit: 1 } } },
    { enabled: runId === undefined && flowId !== "", staleTime: 5_000 },
  );
  const run = runId === undefined ? latest.data?.items[0] : named.data;
  const used = runId === undefined ? latest : named;
  const id = run?.id;
  const ended = hasEnded(run);

  const load = useCallback(
    async (nodeId: string) => {
      if (id === undefined) return undefined;
      return (await client.fetchQuery(stepQuery(id, ended, nodeId))) ?? undefined;
    },
    [client, id, ended],
  );
  return useMemo(
    () => ({ run, isLoading: used.isLoading, error: used.error, load }),
    [run, used.isLoading, used.error, load],
  );
}

/** Fetch the last step of one node in the run when it is shown. */
export function useNodeStep({ run }: LastRun, nodeId: string) {
  return useQuery({ ...stepQuery(run?.id ?? "", hasEnded(run), nodeId), enabled: run !== undefined });
}
