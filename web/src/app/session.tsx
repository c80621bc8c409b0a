/** The session: the logged-in user and the current workspace. All components below may rely on both. */
import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useMemo, useRef, useState } from "react";
import { ApiError, api, chooseUser, chooseWorkspace, goOn, type Schemas, server, whenRefused } from "@/api/client";
import { CALM } from "@/api/queries";
import { notify } from "@/ui/notify";
import { Loading, Refused } from "@/ui/states";

/** Run data and names of flows that the browser keeps until the user logs out. */
const OF_RUNS = ["headrace.pinned.", "headrace.editor.input.", "headrace.editor.run.", "headrace.recent."];

/**
 * Delete kept node outputs, run inputs, the ids of runs shown and the recent items of the command palette. Unsaved
 * changes stay for their user: no other copy exists.
 */
export function forgetRuns(stores: Storage[] = [localStorage, sessionStorage]): void {
  for (const store of stores) {
    for (const key of Object.keys(store)) {
      if (OF_RUNS.some((prefix) => key.startsWith(prefix))) store.removeItem(key);
    }
  }
}

export type Role = "viewer" | "operator" | "editor" | "owner";
export const ROLES: readonly Role[] = ["viewer", "operator", "editor", "owner"];

type Who = Schemas["WhoOut"];

export interface Session {
  user: Who["user"];
  /** `timezone` is that of schedules and flows without one. */
  workspace: { id: string; name: string; timezone: string };
  workspaces: { id: string; name: string }[];
  role: Role;
  /** Return true if the role is at least this one. The server checks again. */
  may: (role: Role) => boolean;
  switchTo: (workspaceId: string) => void;
  /** Log out, then open the address `next`. */
  logOut: (next?: string) => Promise<void>;
  /** Forget the user after logging out and start again at `next`. */
  leave: (next?: string) => void;
}

const SessionContext = createContext<Session | null>(null);

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (session === null) throw new Error("useSession needs a SessionProvider above it");
  return session;
}

const KEPT = "headrace.workspace";

function keep(workspaceId: string): void {
  try {
    localStorage.setItem(KEPT, workspaceId);
  } catch {
    localStorage.removeItem(KEPT); // The browser's storage is full: the next visit starts in the session's workspace.
  }
}

interface SessionProviderProps {
  children: ReactNode;
  /** Shown while no user is logged in. */
  login: ReactNode;
  /** Shown over the children after the session ended. The children stay mounted, with all unsaved input. */
  again: ReactNode;
}

/** Show `login` while no user is logged in, then the children; cover them with `again` if the session ends. */
export function SessionProvider({ children, login, again }: SessionProviderProps) {
  const client = useQueryClient();
  const [workspace, setWorkspace] = useState<string | null>(() => localStorage.getItem(KEPT));
  chooseWorkspace(workspace);
  const { data, error, isPending, refetch, dataUpdatedAt } = api.useQuery(
    "get",
    "/api/auth/session",
    {},
    {
      staleTime: 60_000,
      // The user may log in again in another tab, which counts for this tab too.
      refetchInterval: ({ state }) => state.data !== undefined && state.status === "error" && CALM,
    },
  );

  useEffect(() => {
    // The session may end, or the role may change, while the page is open.
    whenRefused(() => client.invalidateQueries({ queryKey: ["get", "/api/auth/session"] }));
  }, [client]);

  const problem: unknown = error;
  const isForeign = problem instanceof ApiError && problem.status === 403 && workspace !== null;
  useEffect(() => {
    // The kept workspace is one that the user has left, or another user's.
    if (!isForeign) return;
    localStorage.removeItem(KEPT);
    setWorkspace(null);
    chooseWorkspace(null);
    void refetch();
  }, [isForeign, refetch]);

  // Unsaved input on the page belongs to the user for whom it was opened.
  const madeFor = useRef<string | null>(null);
  if (data && madeFor.current === null) {
    madeFor.current = data.user.id;
    chooseUser(data.user.id);
  }
  const isAnother = data !== undefined && data.user.id !== madeFor.current;
  useEffect(() => {
    if (isAnother) window.location.reload();
  }, [isAnother]);

  // Each response with the same user releases the requests that wait for a login; an older response does not.
  const isSame = dataUpdatedAt > 0 && problem === null && !isAnother;
  // biome-ignore lint/correctness/useExhaustiveDependencies: each new response counts, even if it says the same
  useEffect(() => {
    if (isSame) goOn();
  }, [isSame, dataUpdatedAt]);

  const session = useMemo<Session | null>(() => {
    if (!data) return null;
    const leave = (next = "/") => {
      forgetRuns();
      client.clear();
      window.location.assign(next);
    };
    const role = data.session.role as Role;
    const workspaces = data.user.workspaces ?? [];
    const here = workspaces.find((one) => one.id === data.session.workspace_id);
    return {
      user: data.user,
      workspace: {
        id: data.session.workspace_id,
        name: here?.name ?? "Workspace",
        timezone: here?.timezone ?? "UTC",
      },
      workspaces,
      role,
      may: (needed) => ROLES.indexOf(role) >= ROLES.indexOf(needed),
      switchTo: (id) => {
        keep(id);
        chooseWorkspace(id);
        setWorkspace(id);
        // The next login starts in this workspace, in any browser. A failure here is harmless.
        void server.PATCH("/api/auth/session", { body: { workspace_id: id } }).catch(() => undefined);
        void client.resetQueries();
      },
      logOut: async (next) => {
        try {
          await server.DELETE("/api/auth/session");
        } catch (error) {
          const isOut = error instanceof ApiError && error.status === 401;
          if (!isOut) {
            void refetch(); // Another user may be logged in by now.
            return notify.refused("You could not be logged out", error);
          }
        }
        leave(next);
      },
      leave,
    };
  }, [data, client, refetch]);

  const isOut = problem instanceof ApiError && problem.status === 401;
  if (isOut && session === null) return <>{login}</>;
  if (isAnother || (session === null && (isPending || isForeign))) return <Loading label="Opening Headrace" fill />;
  if (session === null) return <Refused error={problem} onRetry={() => void refetch()} />;
  return (
    <SessionContext.Provider value={session}>
      {children}
      {isOut && again}
    </SessionContext.Provider>
  );
}
