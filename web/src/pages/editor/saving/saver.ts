/**
 * Saves changes to the draft on the server, automatically after a second without changes, and publishes the draft when
 * the user does. Every save names the revision on which it is based, so that no user overwrites another user's save
 * unseen. Until the server has the changes, they are kept on this device.
 */
import { ApiError, type Detail } from "@/api/client";
import { isPassing } from "@/api/queries";
import { isSame } from "@/definition/diff";
import type { Definition } from "@/definition/types";
import { type EditorStore, isDirty, isUnpublished, type ServerDraft, type ServerFlow, shownOf } from "../store";
import { type Drafts, UNDECIDED } from "./drafts";

export interface PublishOptions {
  name?: string | null;
  note?: string | null;
  /** Also activate the flow. */
  activate?: boolean;
  /** Publish at this time instead of now, in ISO 8601. */
  at?: string | null;
}

export interface Remote {
  read: () => Promise<ServerFlow>;
  /** Save the draft, based on a version and a revision. Return it as it is now. */
  write: (definition: Definition, base: number, revision: number) => Promise<ServerDraft>;
  publish: (options: PublishOptions, revision: number) => Promise<{ flow: ServerFlow; warnings: readonly Detail[] }>;
  discard: (revision: number) => Promise<ServerFlow>;
}

export interface Listeners {
  /** Called after another user saved: `isShown` if that replaced the definition on the screen. */
  onTaken: (flow: ServerFlow, isShown: boolean) => void;
}

export interface Saver {
  /** Save now. Resolve with true if the server has the changes, else false. */
  saveNow: () => Promise<boolean>;
  /** Save and publish. Resolve with warnings; throw the reason if it was not published. */
  publish: (options?: PublishOptions) => Promise<readonly Detail[]>;
  /** Report the server's current state. */
  onServer: (flow: ServerFlow) => void;
  /** Report that the server answers, and has the state that is known here. */
  onReached: () => void;
  keepMine: () => Promise<boolean>;
  takeTheirs: () => Promise<boolean>;
  /** Base the draft on the current version, so that it can be published over it. */
  rebase: () => Promise<boolean>;
  /** Discard the draft and its scheduled publish; undo restores the changes. */
  discard: () => Promise<void>;
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

  function plan(ms: number): void {
    clearTimeout(timer);
    if (!stopped && !state().readOnly) timer = setTimeout(() => void saveNow(), ms);
  }

  function keep(): void {
    const { definition, base, revision, saving } = state();
    // An undecided conflict is reported again when the flow is opened next.
    const known =
      saving.kind === "conflict"
        ? { base: Math.min(base, saving.theirs.version - 1), revision: UNDECIDED }
        : { base, revision };
    if (isDirty(state())) kept = drafts.write({ ...known, definition, sent, at: Date.now() });
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
    if (isDirty(state())) plan(QUIET);
  }

  /** A 409 is another user's save, our own save whose response was lost, or another conflict. */
  async function refusedAsStale(error: ApiError, definition: Definition): Promise<boolean> {
    const theirs = await remote.read();
    if (isSame(shownOf(theirs), definition)) {
      accepted(theirs, definition);
      return true;
    }
    const { revision, version } = state();
    const isNewer = (theirs.draft?.revision ?? 0) > revision || theirs.version > version;
    if (isNewer && isSame(shownOf(theirs), state().saved)) {
      // Published by another user: our changes are now based on that version.
      accepted(theirs, state().saved);
      plan(0);
    } else if (isNewer) join(theirs);
    else state().setSaving({ kind: "refused", message: error.message });
    return false;
  }

  async function failed(error: unknown, definition: Definition): Promise<boolean> {
    if (error instanceof ApiError && error.status === 409) {
      return refusedAsStale(error, definition).catch((other: unknown) => failed(other, definition));
    }
    const message = error instanceof Error ? error.message : "An unexpected error occurred";
    // The user is logged in again by now; retry silently.
    const isOver = error instanceof ApiError && error.status === 401;
    if (isPassing(error) || isOver) {
      state().setSaving({ kind: "away", message });
      plan(wait);
      wait = Math.min(wait * 1.6, LONGEST_WAIT);
    } else state().setSaving({ kind: "refused", message });
    return false;
  }

  async function send(): Promise<boolean> {
    const { definition, base, revision } = state();
    sent = definition;
    keep();
    state().setSaving({ kind: "saving" });
    try {
      const draft = await remote.write(definition, base, revision);
      const { flow, version, published } = state();
      accepted({ ...flow, version, definition: published, draft }, definition);
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
    return alone(send);
  }

  /** Do this while nothing else is sent. */
  function alone<T>(work: () => Promise<T>): Promise<T> {
    const done = work().finally(() => {
      running = null;
    });
    running = done.then(
      () => true,
      () => false,
    );
    return done;
  }

  /** After a conflict: take over the state of the server, or show the conflict. */
  async function refreshed(error: unknown): Promise<never> {
    await running;
    if (error instanceof ApiError && error.status === 409) onServer(await remote.read());
    throw error;
  }

  async function publish(options: PublishOptions = {}): Promise<readonly Detail[]> {
    if (!(await saveNow())) throw new Error("Your changes are not saved yet. Wait until they are, and try again.");
    const { saved, revision } = state();
    return alone(async () => {
      const { flow, warnings } = await remote.publish(options, revision);
      if (isSame(shownOf(flow), saved)) accepted(flow, saved);
      return warnings;
    }).catch(refreshed);
  }

  async function discard(): Promise<void> {
    while (running !== null) await running;
    clearTimeout(timer);
    const { revision, published } = state();
    return alone(async () => {
      const flow = await remote.discard(revision);
      sent = null;
      state().change("discard changes", () => published);
      if (isSame(shownOf(flow), published)) accepted(flow, published);
      else state().take(flow, true);
    }).catch(refreshed);
  }

  function onServer(flow: ServerFlow): void {
    const { saving, version, revision } = state();
    const theirs = flow.draft?.revision ?? revision;
    if (running !== null || flow.version < version || theirs < revision) return;
    if (flow.version === version && theirs === revision) {
      const { name, status } = state().flow;
      if (flow.name !== name || flow.status !== status) state().setFlow({ name: flow.name, status: flow.status });
      onReached();
      return;
    }
    const shown = shownOf(flow);
    if (sent !== null && isSame(sent, shown)) accepted(flow, sent);
    else if (saving.kind !== "conflict" && isSame(state().saved, shown)) {
      accepted(flow, state().saved);
      if (flow.version > version) listeners.onTaken(flow, false);
    } else if (!isDirty(state())) {
      state().take(flow, false);
      listeners.onTaken(flow, true);
    } else join(flow);
  }

  /** Keep both sides' changes, unless both changed the same: then the user decides. */
  function join(theirs: ServerFlow): void {
    clearTimeout(timer);
    if (state().clashesWith(theirs, state().definition).length > 0) {
      state().setSaving({ kind: "conflict", theirs });
      return;
    }
    state().join(theirs, "mine");
    listeners.onTaken(theirs, true);
    if (isDirty(state())) plan(0);
    else keep();
  }

  function onReached(): void {
    if (state().saving.kind === "away" && running === null) plan(0);
  }

  const stopListening = store.subscribe((now, before) => {
    if (now.definition === before.definition && now.saved === before.saved) return;
    keep();
    if (now.definition === before.definition || now.saving.kind === "conflict") return;
    if (now.saving.kind === "unpublished") now.setSaving({ kind: "idle" });
    if (!isDirty(now)) {
      clearTimeout(timer);
      if (now.saving.kind === "refused") now.setSaving({ kind: "idle" });
    } else plan(QUIET);
  });
  if (isDirty(state()) && state().saving.kind !== "conflict") plan(QUIET);

  return {
    saveNow,
    publish,
    onServer,
    onReached,
    keepMine: () => {
      const { saving } = state();
      if (saving.kind === "conflict") {
        state().join(saving.theirs, "mine");
        state().setBase(saving.theirs.version);
      }
      return saveNow();
    },
    takeTheirs: () => {
      const { saving, saved } = state();
      if (saving.kind !== "conflict") return Promise.resolve(true);
      // Of changes that were kept on this device it is not known on which state they are based.
      if (isSame(saved, shownOf(saving.theirs))) state().take(saving.theirs, true);
      else state().join(saving.theirs, "theirs");
      return saveNow();
    },
    rebase: () => {
      state().setBase(state().version);
      if (!isUnpublished(state())) return Promise.resolve(true);
      return (running ?? Promise.resolve()).then(() => alone(send));
    },
    discard,
    isAtRisk: () => !kept && isDirty(state()),
    stop: () => {
      stopped = true;
      clearTimeout(timer);
      stopListening();
    },
  };
}
