/** The list of flows, and actions on a flow. */
import { keepPreviousData, useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import { useLocation } from "wouter";
import { api, type Schemas, server } from "@/api/client";
import { liveWhile } from "@/api/queries";
import { parseDefinition } from "@/definition/read";
import type { Definition } from "@/definition/types";
import { itemsOf, PAGED } from "@/ui/LoadMore";
import { notify } from "@/ui/notify";
import { type Filters, queryOf } from "./filters";

/** Save a file through the browser. */
function download(name: string, text: string, type = "application/json"): void {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // The browser has started reading by then.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** Return a file name made from any text: "Orders: new!" -> "orders-new". */
function fileName(text: string): string {
  const plain = text
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, "-")
    .replace(/^-+|-+$/g, "");
  return plain.slice(0, 80) || "flow";
}

export type Flow = Schemas["FlowItemOut"];
export type FlowStatus = Flow["status"];

export type Labels = Omit<Schemas["LabelsIn"], "ids">;
/** The limit of the API for one request. */
const LABELLED_AT_ONCE = 200;
/** The lists that a change of flows can change. */
const LISTS = ["/api/flows", "/api/folders", "/api/tags"];

function isMoving(flow: Flow): boolean {
  return flow.last_run?.status === "running" || flow.last_run?.status === "pending";
}

/** Fetch the matching flows of a folder page by page, without their definitions. */
export function useFlows(filters: Filters, folder: string) {
  return api.useInfiniteQuery(
    "get",
    "/api/flows",
    { params: { query: queryOf(filters, folder) } },
    {
      ...PAGED,
      placeholderData: keepPreviousData,
      refetchInterval: (known) => liveWhile(itemsOf<Flow>(known.state.data).some(isMoving)),
    },
  );
}

/** Fetch the folders that contain flows; empty until they are known. */
export function useFolders(): { folders: Schemas["FolderOut"][]; isPending: boolean } {
  const { data, isPending } = api.useQuery("get", "/api/folders");
  return { folders: data?.items ?? [], isPending };
}

/** Fetch the tags of the workspace; empty until they are known. */
export function useTags(): Schemas["TagOut"][] {
  return api.useQuery("get", "/api/tags").data?.items ?? [];
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

/** Return a function that creates an empty flow and opens it. Its name is changed in the editor. */
export function useNewFlow(): (folder?: string) => Promise<void> {
  const [, go] = useLocation();
  const { create } = useFlowActions();
  return async (folder = "") => {
    try {
      const { id } = await create("New flow", undefined, { folder: folder || null });
      go(`/flows/${id}`);
    } catch (error) {
      notify.refused("The flow was not created", error);
    }
  };
}

/** Actions on flows. Each throws the server's error and refreshes the lists. */
export function useFlowActions() {
  const client = useQueryClient();
  return useMemo(() => {
    let held = 0;
    const refresh = async () => {
      if (held > 0) return;
      await Promise.all(LISTS.map((path) => client.invalidateQueries({ queryKey: ["get", path] })));
    };
    async function change(id: string, body: Schemas["FlowChange"]) {
      await server.PUT("/api/workflows/{flow}", { params: { path: { flow: id } }, body });
      void client.invalidateQueries({ queryKey: ["get", "/api/workflows/{flow}"] });
      await refresh();
    }
    async function create(
      name: string,
      definition?: Definition,
      more?: Pick<Schemas["FlowIn"], "folder" | "tags" | "refuse_copy">,
    ): Promise<Schemas["SavedOut"]> {
      const body = { name, status: "draft" as const, ...(definition && { definition }), ...more };
      const { data } = await server.POST("/api/flows", { body: body as Schemas["FlowIn"] });
      void refresh();
      return data as Schemas["SavedOut"];
    }
    return {
      /** Do several of these actions, and refresh the lists once. */
      async together(work: () => Promise<void>) {
        held += 1;
        try {
          await work();
        } finally {
          held -= 1;
          await refresh();
        }
      },
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
      /** Move flows to a folder, and add and remove tags. */
      async label(ids: string[], labels: Labels) {
        for (let at = 0; at < ids.length; at += LABELLED_AT_ONCE) {
          const body = { ids: ids.slice(at, at + LABELLED_AT_ONCE), ...labels };
          await server.POST("/api/flows/labels", { body });
        }
        void client.invalidateQueries({ queryKey: ["get", "/api/workflows/{flow}"] });
        await refresh();
      },
      /** Rename a folder, or move it into another one; null: its content moves to the top. */
      async moveFolder(folder: string, to: string | null) {
        await server.POST("/api/folders/move", { body: { folder, to } });
        await refresh();
      },
      async mark(id: string, isFavourite: boolean) {
        const at = { params: { path: { flow: id } } };
        if (isFavourite) await server.PUT("/api/workflows/{flow}/favourite", at);
        else await server.DELETE("/api/workflows/{flow}/favourite", at);
        await refresh();
      },
      async remove(id: string) {
        await server.DELETE("/api/workflows/{flow}", { params: { path: { flow: id } } });
        await refresh();
      },
      /** Copy the current version, or the definition shown in the editor. */
      async duplicate(id: string, shown?: NamedDefinition) {
        const [{ name, definition }, { data }] = await Promise.all([
          shown ?? definitionOf(id),
          server.GET("/api/workflows/{flow}", { params: { path: { flow: id } } }),
        ]);
        const labels = data && { folder: data.folder, tags: data.tags };
        return create(`${name.slice(0, 190)} (copy)`, definition, labels);
      },
      /** Download the saved flow, or the definition shown in the editor, as a file. */
      async save(id: string, shown?: NamedDefinition) {
        const flow = shown ?? (await definitionOf(id));
        download(`${fileName(flow.name)}.json`, `${JSON.stringify(flow, null, 2)}\n`);
      },
    };
  }, [client]);
}
