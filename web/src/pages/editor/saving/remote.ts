/** Read and write the flow on the server. */
import { ApiError, type Schemas, server } from "@/api/client";
import { parseDefinition } from "@/definition/read";
import type { Definition } from "@/definition/types";
import { notify } from "@/ui/notify";
import { messageOf } from "@/ui/states";
import { prepareLayout } from "../changes";
import {
  type Author,
  type EditorStore,
  type FlowStatus,
  isUnpublished,
  type ServerDraft,
  type ServerFlow,
} from "../store";
import type { PublishOptions, Remote, Saver } from "./saver";

type Body = Record<string, never>;

function needed<T>(data: T | undefined): T {
  if (data === undefined) throw new ApiError(0, "The server sent no response");
  return data;
}

function serverFlowOf(flow: Schemas["FlowOut"], draft?: ServerDraft): ServerFlow {
  const { id, name, status, version, definition_json } = flow;
  return { id, name, status, version, definition: parseDefinition(definition_json), draft };
}

/** Return the flow once the store can lay it out. */
async function withLayout(flow: ServerFlow): Promise<ServerFlow> {
  await prepareLayout(flow.definition, ...(flow.draft?.definition ? [flow.draft.definition] : []));
  return flow;
}

/** Return a draft; `definition` is null without one. */
function draftOf(head: Schemas["DraftHeadOut"], definition: Definition | null): ServerDraft {
  const { revision, base_version, changed_by, changed_by_name, changed_at } = head;
  const by =
    changed_by === null || changed_at === null
      ? null
      : { userId: changed_by, who: changed_by_name ?? "A former member", at: changed_at };
  return { revision, base: base_version, definition: base_version === null ? null : definition, by };
}

/** Read and write the flow with this id; its draft only for editors. */
export function remoteOf(id: string, mayEdit: boolean): Remote {
  const params = { path: { flow: id } };
  const readFlow = async () => needed((await server.GET("/api/workflows/{flow}", { params })).data);
  async function readDraft() {
    if (!mayEdit) return undefined;
    return needed((await server.GET("/api/workflows/{flow}/draft", { params })).data);
  }
  async function read(): Promise<ServerFlow> {
    const [flow, draft] = await Promise.all([readFlow(), readDraft()]);
    if (draft === undefined) return withLayout(serverFlowOf(flow));
    // Published between the two responses: the flow is read again, to fit the draft.
    const fitting = flow.version === draft.version ? flow : await readFlow();
    const text = draft.definition_json;
    return withLayout(serverFlowOf(fitting, draftOf(draft, text === null ? null : parseDefinition(text))));
  }
  return {
    read,
    write: async (definition, base, revision) => {
      const body = { definition: definition as unknown as Body, base_version: base, revision };
      const { data } = await server.PUT("/api/workflows/{flow}/draft", { params, body });
      return draftOf(needed(data), definition);
    },
    publish: async ({ at, ...options }, revision) => {
      const body = { ...options, at: at ?? null, revision };
      const { data } = await server.POST("/api/workflows/{flow}/publish", { params, body });
      const answer = needed(data);
      return { flow: await read(), warnings: "warnings" in answer ? (answer.warnings ?? []) : [] };
    },
    discard: async (revision) => {
      const query = { revision };
      await server.DELETE("/api/workflows/{flow}/draft", { params: { ...params, query } });
      return read();
    },
  };
}

/** Note that this user has the flow open, and return the state of the flow. */
export async function notePresence(id: string): Promise<Schemas["PresenceOut"]> {
  const { data } = await server.PUT("/api/workflows/{flow}/presence", { params: { path: { flow: id } } });
  return needed(data);
}

/** Note that this user has closed the flow. Failures do not matter: the presence expires. */
export function endPresence(id: string): void {
  const params = { path: { flow: id } };
  server.DELETE("/api/workflows/{flow}/presence", { params, keepalive: true }).catch(() => {});
}

/** Cancel the scheduled publish, or remove the notice of its failure. */
export async function cancelPublish(id: string): Promise<void> {
  await server.DELETE("/api/workflows/{flow}/publish", { params: { path: { flow: id } } });
}

/** Create a new flow with this definition. Return its id. */
export async function saveAsNew(name: string, definition: Definition): Promise<string> {
  const body = { name, definition: definition as unknown as Body, status: "draft" as const };
  const { data } = await server.POST("/api/flows", { body });
  return needed(data).id;
}

/** Return the author and time of the latest version, as far as the user may see them. */
export async function latestSave(id: string): Promise<Author | null> {
  const params = { path: { flow: id }, query: { limit: 1, brief: true } };
  const { data } = await server.GET("/api/workflows/{flow}/versions", { params });
  const version = data?.items[0];
  if (version === undefined) return null;
  const { created_by, created_by_name, created_at } = version;
  return { userId: created_by ?? "", who: created_by_name ?? "Another user", at: created_at };
}

// Publish the draft, and show the result.

/** The words for publishing: an inactive flow has no triggers that would start the version. */
export function wordsFor(status: FlowStatus) {
  return status === "active"
    ? { action: "Publish", done: "Published as version" }
    : { action: "Save version", done: "Saved as version" };
}

/** Publishing or discarding the draft cancels a publish at a time. */
export function forgetScheduled(store: EditorStore): void {
  const { presence, setPresence } = store.getState();
  setPresence({ ...presence, scheduled: null });
}

/** Publish the draft. Return false if the server refused it; the reason is shown above the canvas. */
export async function publishDraft(store: EditorStore, saver: Saver, options: PublishOptions = {}): Promise<boolean> {
  if (!isUnpublished(store.getState())) {
    notify.hint("There are no changes since the current version.");
    return true;
  }
  try {
    await saver.publish(options);
    const { flow, version } = store.getState();
    if (!options.at) forgetScheduled(store);
    if (!options.at) notify.done(`${wordsFor(flow.status).done} ${version}`);
    return true;
  } catch (error) {
    const { saving, setSaving } = store.getState();
    // Otherwise the bar already says why.
    if (saving.kind === "idle" || saving.kind === "saving")
      setSaving({ kind: "unpublished", message: messageOf(error) });
    return false;
  }
}
