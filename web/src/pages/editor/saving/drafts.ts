/** What one has typed and the server does not have yet, kept on this device, so that no crash loses it. */
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

export interface Drafts {
  read: () => Draft | null;
  /** Whether it could be kept: the browser's store may be full. */
  write: (draft: Draft) => boolean;
  clear: () => void;
}

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

/** The drafts of one user's one flow in the browser's store. */
export function draftsOf(userId: string, flowId: string, storage: Storage = localStorage): Drafts {
  const key = `headrace.draft.${userId}.${flowId}`;
  return {
    read: () => draftOf(parsed(storage.getItem(key))),
    write: (draft) => {
      try {
        storage.setItem(key, JSON.stringify(draft));
        return true;
      } catch {
        return false;
      }
    },
    clear: () => storage.removeItem(key),
  };
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

const pinKey = (flowId: string) => `headrace.pinned.${flowId}`;

export function readPinned(flowId: string): Pinned {
  const value = parsed(localStorage.getItem(pinKey(flowId)));
  return typeof value === "object" && value !== null ? (value as Pinned) : {};
}

/** Whether they could be kept. */
export function writePinned(flowId: string, pinned: Pinned): boolean {
  try {
    if (Object.keys(pinned).length === 0) localStorage.removeItem(pinKey(flowId));
    else localStorage.setItem(pinKey(flowId), JSON.stringify(pinned));
    return true;
  } catch {
    return false;
  }
}
