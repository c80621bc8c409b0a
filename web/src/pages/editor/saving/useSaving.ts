import { notifications } from "@mantine/notifications";
import { useQuery } from "@tanstack/react-query";
import { createContext, useContext, useEffect, useState } from "react";

import { CALM } from "@/api/queries";
import { useSession } from "@/app/session";
import { notify } from "@/ui/notify";
import { useEditorStore } from "../context";
import type { EditorStore, ServerFlow } from "../store";
import { type Drafts, writePinned } from "./drafts";
import { endPresence, latestSave, notePresence, remoteOf } from "./remote";
import { makeSaver, type Saver } from "./saver";

const SaverContext = createContext<Saver | null>(null);
export const SaverProvider = SaverContext.Provider;

export function useSaver(): Saver {
  const saver = useContext(SaverContext);
  if (saver === null) throw new Error("useSaver needs a SaverProvider above it");
  return saver;
}

async function tellTaken(flow: ServerFlow, before: number, isShown: boolean): Promise<void> {
  const isVersion = flow.version > before;
  const latest = isVersion ? await latestSave(flow.id).catch(() => null) : flow.draft?.by;
  const who = latest?.who ?? "Another user";
  const what = isVersion ? `saved version ${flow.version}` : "changed the draft";
  notify.hint(`${who} ${what}.${isShown ? " It is shown now." : ""}`);
}

/** The saver of the open flow, active while the editor is shown. */
export function useNewSaver(store: EditorStore, drafts: Drafts): Saver | null {
  const { may } = useSession();
  const mayEdit = may("editor");
  const [saver, setSaver] = useState<Saver | null>(null);
  useEffect(() => {
    const { flow, version } = store.getState();
    let told = version;
    const made = makeSaver(store, remoteOf(flow.id, mayEdit), drafts, {
      onTaken: (theirs, isShown) => {
        void tellTaken(theirs, told, isShown);
        told = theirs.version;
      },
    });
    setSaver(made);
    const warn = (event: BeforeUnloadEvent) => {
      if (made.isAtRisk()) event.preventDefault();
    };
    window.addEventListener("beforeunload", warn);
    return () => {
      window.removeEventListener("beforeunload", warn);
      // Save remaining changes on the way out; if that fails, they are kept on this device.
      void made.saveNow();
      made.stop();
    };
  }, [store, drafts, mayEdit]);
  return saver;
}

/** Poll every few seconds for the users who have the flow open, and for saves of other users. */
export function useWatching(): void {
  const store = useEditorStore();
  const saver = useSaver();
  const { may } = useSession();
  const mayEdit = may("editor");
  const { id } = store.getState().flow;
  const { data, dataUpdatedAt } = useQuery({
    queryKey: ["presence", id],
    queryFn: () => notePresence(id),
    refetchInterval: CALM,
    staleTime: 0,
    gcTime: 0,
  });
  useEffect(() => () => endPresence(id), [id]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: each response counts: it shows that the server is there
  useEffect(() => {
    if (data === undefined) return;
    const { flow, version, revision, setPresence, setFlow } = store.getState();
    setPresence({ people: data.people, scheduled: data.scheduled });
    if (data.version > version || (mayEdit && data.revision > revision)) {
      remoteOf(id, mayEdit)
        .read()
        .then(saver.onServer, () => {});
      return;
    }
    if (data.name !== flow.name || data.status !== flow.status) setFlow({ name: data.name, status: data.status });
    saver.onReached();
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
