/** The flow as the server has it, read and written. */
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
  if (data === undefined) throw new ApiError(0, "The server gave no answer");
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

/** A flow of its own with this definition; gives its id. */
export async function saveAsNew(name: string, definition: Definition): Promise<string> {
  const body = { name, definition: definition as unknown as Body, status: "draft" as const };
  const { data } = await server.POST("/api/flows", { body });
  return needed(data).id;
}

export interface Save {
  /** Null where one may not know it. */
  userId: string | null;
  who: string;
  at: string;
}

/** Who made the latest version, as far as one may know, and when. */
export async function latestSave(id: string): Promise<Save | null> {
  const params = { path: { flow: id }, query: { limit: 1, brief: true } };
  const { data } = await server.GET("/api/workflows/{flow}/versions", { params });
  const version = data?.items[0];
  if (version === undefined) return null;
  const { created_by, created_by_name, created_at } = version;
  return { userId: created_by ?? null, who: created_by_name ?? "Somebody", at: created_at };
}
