/** What can be done about runs, from lists and from a run's own page. */
import { useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import { ApiError, type Schemas, server } from "@/api/client";
import { parseDefinition } from "@/definition/read";
import type { Json } from "@/definition/types";
import { type Asked, askedOf } from "./input/asked";

export interface RetryChoice {
  from: "start" | "failed";
  version: "same" | "latest";
}

type SomeRun = Pick<Schemas["RunOut"], "id">;

async function cancelled(run: string): Promise<boolean> {
  try {
    await server.POST("/api/runs/{run}/cancel", { params: { path: { run } } });
    return true;
  } catch (error) {
    // There is nothing left to cancel; what came of the run is shown as that of any other.
    if (error instanceof ApiError && error.status === 409) return false;
    throw error;
  }
}

/** Each throws what the server refuses with, and lets everything that shows runs look again. */
export function useRunActions() {
  const client = useQueryClient();
  return useMemo(() => {
    async function refresh() {
      await client.invalidateQueries({
        predicate: ({ queryKey: [first, path] }) =>
          first === "steps" || (typeof path === "string" && /\/(runs|dashboard|flows)/.test(path)),
      });
    }
    return {
      /** What a flow, as it is saved, asks for when it is started. */
      async asked(flow: string): Promise<Asked> {
        const { data } = await server.GET("/api/workflows/{flow}", { params: { path: { flow } } });
        return askedOf(parseDefinition(data?.definition_json ?? ""));
      },
      /** Starts the flow as it is saved; the new run may not have ended yet. */
      async start(flow: string, input: Json): Promise<Schemas["RunOut"]> {
        const { data } = await server.POST("/api/workflows/{flow}/run", {
          params: { path: { flow }, query: { wait: 0 } },
          body: { input } as Schemas["StartIn"],
        });
        void refresh();
        return data as Schemas["RunOut"];
      },
      /** Whether it came in time: a run that has just ended keeps its result. */
      async cancel(run: SomeRun): Promise<boolean> {
        const inTime = await cancelled(run.id);
        await refresh();
        return inTime;
      },
      /** The new run, which may not have ended yet. */
      async retry(run: SomeRun, choice: RetryChoice): Promise<Schemas["RunOut"]> {
        const { data } = await server.POST("/api/runs/{run}/retry", {
          params: { path: { run: run.id }, query: { wait: 0 } },
          body: choice,
        });
        void refresh();
        return data as Schemas["RunOut"];
      },
      async remove(run: SomeRun): Promise<void> {
        await server.DELETE("/api/runs/{run}", { params: { path: { run: run.id } } });
        client.removeQueries({ queryKey: ["get", "/api/runs/{run}", { params: { path: { run: run.id } } }] });
        void refresh();
      },
    };
  }, [client]);
}
