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
  notifications.show({ message: `${latest?.who ?? "Somebody"} saved version ${version}; this is it.` });
}

/** The saver of the open flow, at work as long as the editor is shown. */
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
      // What is not saved yet goes to the server on the way out; should that fail, the kept draft is there.
      if (store.getState().flow.status !== "active") void made.saveNow();
      made.stop();
    };
  }, [store, drafts]);
  return saver;
}

/** Looks every few seconds whether another person has saved. */
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
  // biome-ignore lint/correctness/useExhaustiveDependencies: the same answer again says that the server is there
  useEffect(() => {
    if (data !== undefined) saver.onServer(serverFlowOf(data));
  }, [data, dataUpdatedAt, saver]);
}

/** Keeps the pinned outputs on this device. */
export function useKeptPins(): void {
  const store = useEditorStore();
  const { user } = useSession();
  useEffect(
    () =>
      store.subscribe((state, before) => {
        if (state.pinned === before.pinned || writePinned(user.id, state.flow.id, state.pinned)) return;
        notifications.show({
          color: "yellow",
          message: "The pinned outputs are too large to be kept on this device.",
        });
      }),
    [store, user.id],
  );
}
