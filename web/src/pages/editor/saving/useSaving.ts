import { notifications } from "@mantine/notifications";
import { createContext, useContext, useEffect, useState } from "react";
import { api } from "@/api/client";
import { CALM } from "@/api/queries";
import { useSession } from "@/app/session";
import { useEditorStore } from "../context";
import type { EditorStore } from "../store";
import { type Drafts, writePinned } from "./drafts";
import { latestSave, remoteOf, serverFlowOf } from "./remote";
import { makeSaver, type Saver } from "./saver";

const SaverContext = createContext<Saver | null>(null);
export const SaverProvider = SaverContext.Provider;

export function useSaver(): Saver {
  const saver = useContext(SaverContext);
  if (saver === null) throw new Error("useSaver needs a SaverProvider above it");
  return saver;
}

async function tellTaken(flowId: string, version: number): Promise<void> {
  const latest = await latestSave(flowId).catch(() => null);
  notifications.show({
    message: `${latest?.who ?? "Another user"} saved version ${version}. It is shown now.`,
  });
}

/** The saver of the open flow, active while the editor is shown. */
export function useNewSaver(store: EditorStore, drafts: Drafts): Saver | null {
  const [saver, setSaver] = useState<Saver | null>(null);
  useEffect(() => {
    const { id } = store.getState().flow;
    const made = makeSaver(store, remoteOf(id), drafts, {
      onTaken: (flow) => void tellTaken(flow.id, flow.version),
      onSaved: () => {},
    });
    setSaver(made);
    const warn = (event: BeforeUnloadEvent) => {
      if (made.isAtRisk()) event.preventDefault();
    };
    window.addEventListener("beforeunload", warn);
    return () => {
      window.removeEventListener("beforeunload", warn);
      // Save remaining changes on the way out; if that fails, the draft is kept.
      if (store.getState().flow.status !== "active") void made.saveNow();
      made.stop();
    };
  }, [store, drafts]);
  return saver;
}

/** Poll every few seconds for another user's save. */
export function useWatching(): void {
  const store = useEditorStore();
  const saver = useSaver();
  const flow = store.getState().flow.id;
  const { data, dataUpdatedAt } = api.useQuery(
    "get",
    "/api/workflows/{flow}",
    { params: { path: { flow } } },
    { refetchInterval: CALM, staleTime: 0 },
  );
  // biome-ignore lint/correctness/useExhaustiveDependencies: each response counts: it shows that the server is there
  useEffect(() => {
    if (data !== undefined) saver.onServer(serverFlowOf(data));
  }, [data, dataUpdatedAt, saver]);
}

/** Keep the pinned outputs on this device. */
export function useKeptPins(): void {
  const store = useEditorStore();
  const { user } = useSession();
  useEffect(
    () =>
      store.subscribe((state, before) => {
        if (state.pinned === before.pinned || writePinned(user.id, state.flow.id, state.pinned)) return;
        notifications.show({
          color: "yellow",
          message: "The pinned outputs are too large to keep on this device.",
        });
      }),
    [store, user.id],
  );
}
