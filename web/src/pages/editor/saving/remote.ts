/** Read and write the flow on the server. */
import { ApiError, type Schemas, server } from "@/api/client";
import { parseDefinition } from "@/definition/read";
import type { Definition } from "@/definition/types";
import type { ServerFlow } from "../store";
import type { Remote } from "./saver";

type Body = Record<string, never>;

export function serverFlowOf(flow: Schemas["FlowOut"]): ServerFlow {
  const { id, name, status, version, definition_json } = flow;
  return { id, name, status, version, definition: parseDefinition(definition_json) };
}

function needed<T>(data: T | undefined): T {
  if (data === undefined) throw new ApiError(0, "The server sent no response");
  return data;
}

export function remoteOf(id: string): Remote {
  const params = { path: { flow: id } };
  return {
    read: async () => {
      const { data } = await server.GET("/api/workflows/{flow}", { params });
      return serverFlowOf(needed(data));
    },
    write: async (definition, version) => {
      const body = { definition: definition as unknown as Body, version };
      const { data } = await server.PUT("/api/workflows/{flow}", { params, body });
      return { ...serverFlowOf(needed(data)), definition };
    },
  };
}

/** Create a new flow with this definition. Return its id. */
export async function saveAsNew(name: string, definition: Definition): Promise<string> {
  const body = { name, definition: definition as unknown as Body, status: "draft" as const };
  const { data } = await server.POST("/api/flows", { body });
  return needed(data).id;
}

export interface Save {
  /** The user's id; null if it may not be disclosed. */
  userId: string | null;
  who: string;
  at: string;
}

/** Return the author and time of the latest version, as far as the user may see them. */
export async function latestSave(id: string): Promise<Save | null> {
  const params = { path: { flow: id }, query: { limit: 1, brief: true } };
  const { data } = await server.GET("/api/workflows/{flow}/versions", { params });
  const version = data?.items[0];
  if (version === undefined) return null;
  const { created_by, created_by_name, created_at } = version;
  return { userId: created_by ?? null, who: created_by_name ?? "Another user", at: created_at };
}
