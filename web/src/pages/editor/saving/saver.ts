/**
 * Saves changes to the server: an inactive flow automatically after a second without changes, an active flow when the
 * user publishes. Every save names the version on which it is based, so that nobody overwrites another user's save
 * unseen. Until the server has the changes, they are kept on this device.
 */
import { ApiError } from "@/api/client";
import { isPassing } from "@/api/queries";
import type { Definition } from "@/definition/types";
import { isAlike } from "../changes";
import { type EditorStore, isDirty, type ServerFlow } from "../store";
import type { Drafts } from "./drafts";

export interface Remote {
  read: () => Promise<ServerFlow>;
  write: (definition: Definition, version: number) => Promise<ServerFlow>;
}

export interface Listeners {
  /** Called after the shown definition was replaced by another user's version. */
  onTaken: (flow: ServerFlow) => void;
  /** Called after the server accepted the changes. */
  onSaved: (flow: ServerFlow) => void;
}

export interface Saver {
  /** Save now. Resolve with true if the server has the changes, else false. */
  saveNow: () => Promise<boolean>;
  /** Report the server's current version. */
  onServer: (flow: ServerFlow) => void;
  keepMine: () => Promise<boolean>;
  takeTheirs: () => void;
  /** Replace the changes by the server's version; undo restores them. */
  discard: () => void;
  /** Return true if leaving the page now would lose changes. */
  isAtRisk: () => boolean;
  stop: () => void;
}

const QUIET = 1_000;
const FIRST_WAIT = 1_500;
const LONGEST_WAIT = 15_000;

export function makeSaver(store: EditorStore, remote: Remote, drafts: Drafts, listeners: Listeners): Saver {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let running: Promise<boolean> | null = null;
  let sent: Definition | null = null;
  let wait = FIRST_WAIT;
  let kept = true;
  let stopped = false;

  const state = () => store.getState();
  const savesItself = () => state().flow.status !== "active" && !state().readOnly;

  function plan(ms: number): void {
    clearTimeout(timer);
    if (!stopped) timer = setTimeout(() => void saveNow(), ms);
  }

  function keep(): void {
    const { definition, version, saving } = state();
    // An undecided conflict is reported again when the flow is opened next.
    const base = saving.kind === "conflict" ? Math.min(version, saving.theirs.version - 1) : version;
    if (isDirty(state())) kept = drafts.write({ base, definition, sent, at: Date.now() });
    else {
      drafts.clear();
      kept = true;
    }
  }

  function accepted(flow: ServerFlow, definition: Definition): void {
    sent = null;
    wait = FIRST_WAIT;
    state().setSaved(flow, definition);
    keep();
    listeners.onSaved(flow);
    if (isDirty(state()) && savesItself()) plan(QUIET);
  }

  /** A 409 is another user's save, our own save whose response was lost, or another conflict. */
  async function refusedAsStale(error: ApiError, definition: Definition): Promise<boolean> {
    const theirs = await remote.read();
    if (isAlike(theirs.definition, definition)) {
      accepted(theirs, definition);
      return true;
    }
    if (theirs.version > state().version) state().setSaving({ kind: "conflict", theirs });
    else state().setSaving({ kind: "refused", message: error.message });
    return false;
  }

  async function failed(error: unknown, definition: Definition): Promise<boolean> {
    if (error instanceof ApiError && error.status === 409) {
      return refusedAsStale(error, definition).catch((other: unknown) => failed(other, definition));
    }
    const message = error instanceof Error ? error.message : "An unexpected error occurred";
    // The user is logged in again by now; retry an automatic save silently.
    const isOver = error instanceof ApiError && error.status === 401 && savesItself();
    if (isPassing(error) || isOver) {
      state().setSaving({ kind: "away", message });
      plan(wait);
      wait = Math.min(wait * 1.6, LONGEST_WAIT);
    } else state().setSaving({ kind: "refused", message });
    return false;
  }

  async function send(): Promise<boolean> {
    const { definition, version } = state();
    sent = definition;
    keep();
    state().setSaving({ kind: "saving" });
    try {
      accepted(await remote.write(definition, version), definition);
      return true;
    } catch (error) {
      return failed(error, definition);
    }
  }

  function saveNow(): Promise<boolean> {
    clearTimeout(timer);
    if (running !== null) return running.then(() => saveNow());
    if (state().saving.kind === "conflict" || state().readOnly) return Promise.resolve(false);
    if (!isDirty(state())) return Promise.resolve(true);
    running = send().finally(() => {
      running = null;
    });
    return running;
  }

  function onServer(flow: ServerFlow): void {
    const { saving, version } = state();
    if (running !== null || flow.version < version) return;
    if (flow.version === version) {
      const { name, status } = state().flow;
      if (flow.name !== name || flow.status !== status)
        state().setFlow({ name: flow.name, status: flow.status });
      if (saving.kind === "away") plan(0);
      return;
    }
    if (sent !== null && isAlike(sent, flow.definition)) accepted(flow, sent);
    else if (!isDirty(state())) {
      state().take(flow, false);
      listeners.onTaken(flow);
    } else {
      clearTimeout(timer);
      state().setSaving({ kind: "conflict", theirs: flow });
    }
  }

  const stopListening = store.subscribe((now, before) => {
    if (now.definition === before.definition && now.saved === before.saved) return;
    keep();
    if (now.definition === before.definition || now.saving.kind === "conflict") return;
    if (!isDirty(now)) {
      clearTimeout(timer);
      if (now.saving.kind === "refused") now.setSaving({ kind: "idle" });
    } else if (savesItself()) plan(QUIET);
  });
  if (isDirty(state()) && savesItself()) plan(QUIET);

  return {
    saveNow,
    onServer,
    keepMine: () => {
      const { saving } = state();
      if (saving.kind === "conflict") state().setSaved(saving.theirs, saving.theirs.definition);
      return saveNow();
    },
    takeTheirs: () => {
      const { saving } = state();
      if (saving.kind === "conflict") state().take(saving.theirs, true);
    },
    discard: () => {
      const { saved } = state();
      state().change("discard changes", () => saved);
    },
    isAtRisk: () => !kept && isDirty(state()),
    stop: () => {
      stopped = true;
      clearTimeout(timer);
      stopListening();
    },
  };
}
