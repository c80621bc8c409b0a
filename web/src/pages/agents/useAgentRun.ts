import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import { type Schemas, server } from "@/api/client";

type AgentLog = Schemas["AgentLogOut"];

export function isMoving(status: AgentLog["status"] | undefined): boolean {
  return status === "pending" || status === "running" || status === "waiting";
}

/** Fetch an agent run with its steps; poll while it is active, so that tool calls appear as they happen. */
export function useAgentRun(id: string | null): UseQueryResult<AgentLog> {
  return useQuery({
    queryKey: ["agent run", id],
    enabled: id !== null,
    queryFn: async ({ signal }) => {
      const path = { agent_run: id ?? "" };
      const { data } = await server.GET("/api/agent/runs/{agent_run}", { params: { path }, signal });
      return data as AgentLog;
    },
    refetchInterval: (query) => {
      const status = query.state.data?.status;
      if (status === "waiting") return 3_000;
      return isMoving(status) ? 500 : false;
    },
  });
}
