/** The list of flows, and actions on a flow. */
import { keepPreviousData, useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import { api, type Schemas, server } from "@/api/client";
import { liveWhile } from "@/api/queries";
import { parseDefinition } from "@/definition/read";
import type { Definition } from "@/definition/types";
import { download, fileName } from "@/ui/download";
import { itemsOf, PAGED } from "@/ui/LoadMore";

export type Flow = Schemas["FlowItemOut"];
export type FlowStatus = Flow["status"];

export const FILTERS = { search: "", status: "draft,active", trigger: "", result: "", sort: "newest" };
export type Filters = typeof FILTERS;
const KEY = ["get", "/api/flows"] as const;

function isMoving(flow: Flow): boolean {
  return flow.last_run?.status === "running" || flow.last_run?.status === "pending";
}

/** Fetch the matching flows page by page, without their definitions. */
export function useFlows({ search, status, trigger, result, sort }: Filters) {
  const query = {
    brief: true,
    limit: 50,
    sort: sort as "newest",
    ...(search && { search }),
    ...(status && { status }),
    ...(trigger && { trigger }),
    ...(result && { failing: result === "failing" }),
  };
  return api.useInfiniteQuery(
    "get",
    "/api/flows",
    { params: { query } },
    {
      ...PAGED,
      placeholderData: keepPreviousData,
      refetchInterval: (known) => liveWhile(itemsOf<Flow>(known.state.data).some(isMoving)),
    },
  );
}

export interface NamedDefinition {
  name: string;
  definition: Definition;
}

/** Fetch the current version of a flow; its draft if it has one and the user edits flows. */
export async function definitionOf(id: string, hasDraft = false): Promise<NamedDefinition> {
  const params = { path: { flow: id } };
  const [{ data }, draft] = await Promise.all([
    server.GET("/api/workflows/{flow}", { params }),
    hasDraft ? server.GET("/api/workflows/{flow}/draft", { params }) : undefined,
  ]);
  if (data === undefined) throw new Error("The server's response contains no flow");
  const text = draft?.data?.definition_json ?? data.definition_json;
  return { name: data.name, definition: parseDefinition(text) };
}

/** Actions on flows. Each throws the server's error and refreshes the lists. */
export function useFlowActions() {
  const client = useQueryClient();
  return useMemo(() => {
    const refresh = () => client.invalidateQueries({ queryKey: KEY });
    async function change(id: string, body: Schemas["FlowChange"]) {
      await server.PUT("/api/workflows/{flow}", { params: { path: { flow: id } }, body });
      void client.invalidateQueries({ queryKey: ["get", "/api/workflows/{flow}"] });
      await refresh();
    }
    async function create(name: string, definition?: Definition): Promise<Schemas["SavedOut"]> {
      const body = { name, status: "draft" as const, ...(definition && { definition }) };
      const { data } = await server.POST("/api/flows", { body: body as Schemas["FlowIn"] });
      void refresh();
      return data as Schemas["SavedOut"];
    }
    return {
      create,
      rename: (id: string, name: string) => change(id, { name }),
      setStatus: (id: string, status: FlowStatus) => change(id, { status }),
      /** Publish the draft and activate the flow in one step. */
      async publishActive(id: string) {
        const params = { path: { flow: id } };
        await server.POST("/api/workflows/{flow}/publish", { params, body: { activate: true } });
        void client.invalidateQueries({ queryKey: ["get", "/api/workflows/{flow}"] });
        await refresh();
      },
      async remove(id: string) {
        await server.DELETE("/api/workflows/{flow}", { params: { path: { flow: id } } });
        await refresh();
      },
      /** Copy the current version, or the definition shown in the editor. */
      async duplicate(id: string, shown?: NamedDefinition) {
        const { name, definition } = shown ?? (await definitionOf(id));
        return create(`${name.slice(0, 190)} (copy)`, definition);
      },
      /** Download the saved flow, or the definition shown in the editor, as a file. */
      async save(id: string, shown?: NamedDefinition) {
        const flow = shown ?? (await definitionOf(id));
        download(`${fileName(flow.name)}.json`, `${JSON.stringify(flow, null, 2)}\n`);
      },
    };
  }, [client]);
}
