/** The last input of each flow, kept on this device. */

import { type QueryClient, useQuery } from "@tanstack/react-query";
import { type Schemas, server } from "@/api/client";
import type { Json } from "@/definition/types";
import { fetchWhole } from "../values";

const inputKey = (flowId: string) => `headrace.editor.input.${flowId}`;

/** Return the last input as JSON text; null if there is none. */
export function lastInput(flowId: string): string | null {
  return localStorage.getItem(inputKey(flowId));
}

export function keepInput(flowId: string, text: string | null): void {
  try {
    if (text === null) localStorage.removeItem(inputKey(flowId));
    else localStorage.setItem(inputKey(flowId), text);
  } catch {
    localStorage.removeItem(inputKey(flowId)); // Too large to keep: the user must enter it again next time.
  }
}

/** Return the last input; null if there is none or the kept text is not JSON. */
export function lastValue(flowId: string): Json {
  try {
    return JSON.parse(lastInput(flowId) ?? "null") as Json;
  } catch {
    return null;
  }
}

// The webhook calls that started a flow, newest first: their inputs are realistic test inputs.

export type Call = Pick<Schemas["RunItemOut"], "id" | "created_at"> & { input?: unknown };

const MOST = 5;

function callsOf(flowId: string) {
  return {
    queryKey: ["get", "/api/runs", "calls", flowId],
    queryFn: async (): Promise<Call[]> => {
      const query = { workflow_id: flowId, triggered_by: "webhook" as const, limit: MOST };
      const { data } = await server.GET("/api/runs", { params: { query } });
      return data?.items ?? [];
    },
    staleTime: 5_000,
  };
}

const NONE: readonly Call[] = [];

export function useLastCalls(flowId: string): readonly Call[] {
  return useQuery(callsOf(flowId)).data ?? NONE;
}

/** Return the input of the flow's last call; undefined if none is recorded. */
export async function lastCalled(client: QueryClient, flowId: string): Promise<Json | undefined> {
  const [call] = await client.fetchQuery(callsOf(flowId));
  return call && ((await fetchWhole(call.input)) as Json);
}
