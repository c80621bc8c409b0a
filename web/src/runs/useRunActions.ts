/** Actions on runs, for lists and for the run page. */
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
    // Nothing left to cancel: show the run's result as usual.
    if (error instanceof ApiError && error.status === 409) return false;
    throw error;
  }
}

/** Each action throws the server's error and refreshes everything that shows runs. */
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
      /** Return the input that the saved flow asks for. */
      async asked(flow: string): Promise<Asked> {
        const { data } = await server.GET("/api/workflows/{flow}", { params: { path: { flow } } });
        return askedOf(parseDefinition(data?.definition_json ?? ""));
      },
      /** Start the saved flow. The new run may still be active. */
      async start(flow: string, input: Json): Promise<Schemas["RunOut"]> {
        const { data } = await server.POST("/api/workflows/{flow}/run", {
          params: { path: { flow }, query: { wait: 0 } },
          body: { input } as Schemas["StartIn"],
        });
        void refresh();
        return data as Schemas["RunOut"];
      },
      /** Return false if the run had already ended; it keeps its result. */
      async cancel(run: SomeRun): Promise<boolean> {
        const inTime = await cancelled(run.id);
        await refresh();
        return inTime;
      },
      /** Return the new run, which may still be active. */
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
