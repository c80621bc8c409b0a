/**
 * Unsaved changes, kept on this device so that a crash loses nothing: separate for each user, flow and tab. The draft
 * of a closed tab is offered to the next tab that opens the flow.
 */

import { isSame } from "@/definition/diff";
import { readDefinition } from "@/definition/read";
import type { Definition } from "@/definition/types";
import { type Pinned, type ServerFlow, shownOf } from "../store";

export interface Draft {
  /** The server's version on which it is based. */
  base: number;
  /** The server's revision of the draft on which it is based; UNDECIDED in a conflict. */
  revision: number;
  definition: Definition;
  /** The definition sent last while its response is pending; null if none is. */
  sent: Definition | null;
  /** Milliseconds since 1970. */
  at: number;
}

/** A draft of another tab. */
export interface LeftDraft extends Draft {
  key: string;
}

export interface Drafts {
  /** The draft of this tab. */
  read: () => Draft | null;
  /** Return false if it could not be kept: the browser's storage may be full. */
  write: (draft: Draft) => boolean;
  clear: () => void;
  /** Return the drafts of closed tabs, newest first; of all other tabs if the open tabs are unknown. */
  left: () => LeftDraft[];
  /** Make another tab's draft this tab's. */
  adopt: (draft: LeftDraft) => void;
  drop: (draft: LeftDraft) => void;
}

export const UNDECIDED = -1;
const PREFIX = "headrace.draft.";
export const MOST_DRAFTS = 30;
export const LONGEST = 60 * 24 * 60 * 60 * 1000;

function parsed(text: string | null): unknown {
  try {
    return text === null ? null : JSON.parse(text);
  } catch {
    return null; // Truncated by a crash while it was written: fall back to the server's version.
  }
}

function draftOf(value: unknown): Draft | null {
  if (typeof value !== "object" || value === null) return null;
  // Drafts of earlier versions of the app have no revision: then the server had no drafts.
  const { base, revision = 0, definition, sent, at } = value as Record<string, unknown>;
  if (typeof base !== "number" || typeof revision !== "number" || typeof at !== "number") return null;
  try {
    const latest = sent ? readDefinition(sent) : null;
    return { base, revision, definition: readDefinition(definition), sent: latest, at };
  } catch {
    return null;
  }
}

function keysOf(storage: Storage, prefix: string): string[] {
  const keys = Array.from({ length: storage.length }, (_, at) => storage.key(at) ?? "");
  return keys.filter((key) => key.startsWith(prefix));
}

function tabOf(key: string): string {
  return key.slice(key.lastIndexOf(".") + 1);
}

/** The names of this tab and of the open tabs. */
export interface Tabs {
  own: string;
  /** Null if unknown. */
  open: ReadonlySet<string> | null;
}

/** Return the drafts of one user's flow in the browser's storage. */
export function draftsOf(userId: string, flowId: string, tabs: Tabs, storage: Storage = localStorage): Drafts {
  const ofFlow = `${PREFIX}${userId}.${flowId}.`;
  const own = ofFlow + tabs.own;
  const read = (key: string) => draftOf(parsed(storage.getItem(key)));
  const drafts: Drafts = {
    read: () => read(own),
    write: (draft) => {
      const { base, revision, definition, sent, at } = draft;
      try {
        storage.setItem(own, JSON.stringify({ base, revision, definition, sent, at }));
        return true;
      } catch {
        return false;
      }
    },
    clear: () => storage.removeItem(own),
    left: () =>
      keysOf(storage, ofFlow)
        .filter((key) => key !== own && !tabs.open?.has(tabOf(key)))
        .flatMap((key) => {
          const draft = read(key);
          return draft === null ? [] : [{ ...draft, key }];
        })
        .sort((one, other) => other.at - one.at),
    adopt: (draft) => {
      if (drafts.write(draft)) storage.removeItem(draft.key);
    },
    drop: (draft) => storage.removeItem(draft.key),
  };
  return drafts;
}

/**
 * Delete drafts of closed tabs, of all users and flows, beyond a number and an age: the storage has a few megabytes.
 * Invalid ones go first.
 */
export function pruneDrafts(tabs: Tabs, now: number = Date.now(), storage: Storage = localStorage): void {
  const kept = keysOf(storage, PREFIX)
    .map((key) => ({ key, at: draftOf(parsed(storage.getItem(key)))?.at ?? 0 }))
    .sort((one, other) => other.at - one.at);
  for (const [place, { key, at }] of kept.entries()) {
    const isOpen = tabOf(key) === tabs.own || tabs.open?.has(tabOf(key));
    if (!isOpen && (place >= MOST_DRAFTS || at < now - LONGEST)) storage.removeItem(key);
  }
}

/** Call back when another tab keeps or clears a draft. */
export function onDrafts(told: () => void): () => void {
  const listen = (event: StorageEvent) => event.key?.startsWith(PREFIX) && told();
  window.addEventListener("storage", listen);
  return () => window.removeEventListener("storage", listen);
}

export type Restored =
  | { kind: "nothing" }
  /** The draft continues the state of the server. */
  | { kind: "restored"; definition: Definition }
  /** Another user has saved since. */
  | { kind: "conflict"; definition: Definition };

type Server = Pick<ServerFlow, "version" | "definition" | "draft">;

/** Return what happens with a kept draft when the flow is opened. */
export function restoredOf(draft: Draft | null, server: Server): Restored {
  const shown = shownOf(server);
  if (draft === null || isSame(draft.definition, shown)) return { kind: "nothing" };
  const wasOurs = draft.sent !== null && isSame(draft.sent, shown);
  const isContinued =
    draft.revision === (server.draft?.revision ?? 0) && (server.draft?.base != null || draft.base === server.version);
  if (isContinued || wasOurs) return { kind: "restored", definition: draft.definition };
  return { kind: "conflict", definition: draft.definition };
}

/** Return the drafts that differ from the server's version; delete the others. */
export function newsIn(drafts: Drafts, server: Server): LeftDraft[] {
  return drafts.left().filter((draft) => {
    const isNews = restoredOf(draft, server).kind !== "nothing";
    if (!isNews) drafts.drop(draft);
    return isNews;
  });
}

/**
 * Return the draft to open the flow with: this tab's, else the latest of a closed tab. A draft based on an older
 * version is not used automatically, nor one whose tab may be open.
 */
export function firstOf(drafts: Drafts, tabs: Tabs, server: Server): Restored {
  const own = restoredOf(drafts.read(), server);
  if (own.kind !== "nothing") return own;
  const [latest] = newsIn(drafts, server);
  const found = latest === undefined ? own : restoredOf(latest, server);
  if (latest === undefined || tabs.open === null || found.kind !== "restored") {
    drafts.clear();
    return own;
  }
  drafts.adopt(latest);
  return found;
}

const pinKey = (userId: string, flowId: string) => `headrace.pinned.${userId}.${flowId}`;

export function readPinned(userId: string, flowId: string): Pinned {
  const value = parsed(localStorage.getItem(pinKey(userId, flowId)));
  return typeof value === "object" && value !== null ? (value as Pinned) : {};
}

/** Return false if they could not be kept. */
export function writePinned(userId: string, flowId: string, pinned: Pinned): boolean {
  const key = pinKey(userId, flowId);
  try {
    if (Object.keys(pinned).length === 0) localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify(pinned));
    return true;
  } catch {
    return false;
  }
}
