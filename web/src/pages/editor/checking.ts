/** Validate the definition shortly after each change. A late response is ignored. */
import { useEffect } from "react";
import { server } from "@/api/client";
import { whenCredentialsChange } from "@/api/credentials";
import { isPassing } from "@/api/queries";
import type { Definition } from "@/definition/types";
import { useEditorStore } from "./context";
import { checkOf } from "./problems";
import type { EditorStore } from "./store";

const QUIET = 300;
const AGAIN = 3_000;

async function ask(store: EditorStore, definition: Definition, signal: AbortSignal): Promise<void> {
  const { data } = await server.POST("/api/workflows/validate", {
    body: { definition: definition as unknown as Record<string, never> },
    signal,
  });
  if (data === undefined || signal.aborted || store.getState().definition !== definition) return;
  store.getState().setCheck(checkOf(definition, data.issues, data.nodes, store.getState().catalogue));
}

/** Keep the store's `check` up to date with its definition. */
export function startChecking(store: EditorStore): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let running = new AbortController();

  function plan(wait: number): void {
    clearTimeout(timer);
    running.abort();
    timer = setTimeout(() => {
      running = new AbortController();
      ask(store, store.getState().definition, running.signal).catch((error: unknown) => {
        // A refused request is reported when saving; an unreachable server is asked again.
        if (isPassing(error)) plan(AGAIN);
      });
    }, wait);
  }

  plan(0);
  const stop = store.subscribe((state, before) => {
    if (state.definition !== before.definition) plan(QUIET);
    // The titles of settings come from it.
    else if (state.catalogue !== before.catalogue && state.check !== null && state.check.problems.length > 0)
      plan(0);
  });
  // A credential may be missing, or its account not connected.
  const ignore = whenCredentialsChange(() => plan(QUIET));
  return () => {
    stop();
    ignore();
    clearTimeout(timer);
    running.abort();
  };
}

export function useChecking(): void {
  const store = useEditorStore();
  useEffect(() => startChecking(store), [store]);
}
