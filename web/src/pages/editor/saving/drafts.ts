/**
 * What one has typed and the server does not have yet, kept on this device, so that no crash loses it: of each user,
 * flow and tab of the browser by itself. What a closed tab has left is there for the next one that opens the flow.
 */
import { readDefinition } from "@/definition/read";
import type { Definition } from "@/definition/types";
import { isAlike } from "../changes";
import type { Pinned, ServerFlow } from "../store";

export interface Draft {
  /** The server's version that it is based on. */
  base: number;
  definition: Definition;
  /** What was sent last, where its answer is not known; null where nothing is under way. */
  sent: Definition | null;
  /** When, in ms since 1970. */
  at: number;
}

/** A draft that another tab has kept. */
export interface LeftDraft extends Draft {
  key: string;
}

export interface Drafts {
  /** This tab's. */
  read: () => Draft | null;
  /** Whether it could be kept: the browser's store may be full. */
  write: (draft: Draft) => boolean;
  clear: () => void;
  /** Those of tabs that are not open, the newest first; of all other tabs where nobody knows which are open. */
  left: () => LeftDraft[];
  /** Another tab's draft becomes this one's. */
  adopt: (draft: LeftDraft) => void;
  drop: (draft: LeftDraft) => void;
}

const PREFIX = "headrace.draft.";
export const MOST_DRAFTS = 30;
export const LONGEST = 60 * 24 * 60 * 60 * 1000;

function parsed(text: string | null): unknown {
  try {
    return text === null ? null : JSON.parse(text);
  } catch {
    return null; // Cut off by a crash while it was written: the server's version is what is left.
  }
}

function draftOf(value: unknown): Draft | null {
  if (typeof value !== "object" || value === null) return null;
  const { base, definition, sent, at } = value as Record<string, unknown>;
  if (typeof base !== "number" || typeof at !== "number") return null;
  try {
    return { base, definition: readDefinition(definition), sent: sent ? readDefinition(sent) : null, at };
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

/** This tab's name and those of the open ones. */
export interface Tabs {
  own: string;
  /** Null where nobody knows. */
  open: ReadonlySet<string> | null;
}

/** The drafts of one user's one flow in the browser's store. */
export function draftsOf(
  userId: string,
  flowId: string,
  tabs: Tabs,
  storage: Storage = localStorage,
): Drafts {
  const ofFlow = `${PREFIX}${userId}.${flowId}.`;
  const own = ofFlow + tabs.own;
  const read = (key: string) => draftOf(parsed(storage.getItem(key)));
  const drafts: Drafts = {
    read: () => read(own),
    write: (draft) => {
      const { base, definition, sent, at } = draft;
      try {
        storage.setItem(own, JSON.stringify({ base, definition, sent, at }));
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
 * Takes away what closed tabs have left, of whomever and whichever flow, beyond a number and an age: a browser keeps a
 * few megabytes. What is broken goes first.
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

/** Calls back when another tab has kept or cleared a draft of anything. */
export function onDrafts(told: () => void): () => void {
  const listen = (event: StorageEvent) => event.key?.startsWith(PREFIX) && told();
  window.addEventListener("storage", listen);
  return () => window.removeEventListener("storage", listen);
}

export type Restored =
  | { kind: "nothing" }
  /** It goes on from the server's version. */
  | { kind: "restored"; definition: Definition }
  /** Somebody else has saved since. */
  | { kind: "conflict"; definition: Definition };

/** What becomes of a kept draft when the flow is opened. */
export function restoredOf(
  draft: Draft | null,
  server: Pick<ServerFlow, "version" | "definition">,
): Restored {
  if (draft === null || isAlike(draft.definition, server.definition)) return { kind: "nothing" };
  const wasOurs = draft.sent !== null && isAlike(draft.sent, server.definition);
  if (draft.base === server.version || wasOurs) return { kind: "restored", definition: draft.definition };
  return { kind: "conflict", definition: draft.definition };
}

/** Those that say something which the server does not have; the others go. */
export function newsIn(drafts: Drafts, server: Pick<ServerFlow, "version" | "definition">): LeftDraft[] {
  return drafts.left().filter((draft) => {
    const isNews = restoredOf(draft, server).kind !== "nothing";
    if (!isNews) drafts.drop(draft);
    return isNews;
  });
}

/**
 * What the flow is opened with: what this tab has kept, else the latest that a closed tab has left. What is based on
 * an older version is not taken by itself, nor where that tab may be open still.
 */
export function firstOf(
  drafts: Drafts,
  tabs: Tabs,
  server: Pick<ServerFlow, "version" | "definition">,
): Restored {
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

/** Whether they could be kept. */
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
