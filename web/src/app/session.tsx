/** Who is logged in and in which workspace; everything below may take both for granted. */
import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useMemo, useRef, useState } from "react";
import {
  ApiError,
  api,
  chooseUser,
  chooseWorkspace,
  goOn,
  type Schemas,
  server,
  whenRefused,
} from "@/api/client";
import { CALM } from "@/api/queries";
import { notify } from "@/ui/notify";
import { Loading, Refused } from "@/ui/states";
import { forgetRuns } from "./kept";

export type Role = "viewer" | "operator" | "editor" | "owner";
export const ROLES: readonly Role[] = ["viewer", "operator", "editor", "owner"];

type Who = Schemas["WhoOut"];

export interface Session {
  user: Who["user"];
  workspace: { id: string; name: string };
  workspaces: { id: string; name: string }[];
  role: Role;
  /** Whether the role is at least this one; the server checks again. */
  may: (role: Role) => boolean;
  switchTo: (workspaceId: string) => void;
  /** `next` is the address that is opened then. */
  logOut: (next?: string) => Promise<void>;
  /** Once one is out: forgets whose page this was, and begins anew for whoever logs in next. */
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
    localStorage.removeItem(KEPT); // The browser's store is full: the next visit begins where the session does.
  }
}

interface SessionProviderProps {
  children: ReactNode;
  /** Shown until somebody is logged in. */
  login: ReactNode;
  /** Shown over the children when the session has ended since. They stay, with all that was typed. */
  again: ReactNode;
}

/** Shows `login` until somebody is logged in, then the children, and over them `again` where the session ends. */
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
      // In another tab one may log in again, for this one too.
      refetchInterval: ({ state }) => state.data !== undefined && state.status === "error" && CALM,
    },
  );

  useEffect(() => {
    // The session may have ended, or the role changed, while the page was open.
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

  // What is on the page, and not saved yet, is of the one for whom it was opened.
  const madeFor = useRef<string | null>(null);
  if (data && madeFor.current === null) {
    madeFor.current = data.user.id;
    chooseUser(data.user.id);
  }
  const isAnother = data !== undefined && data.user.id !== madeFor.current;
  useEffect(() => {
    if (isAnother) window.location.reload();
  }, [isAnother]);

  // Each answer that it is the same one lets go on what was refused before; an older one says nothing of that.
  const isSame = dataUpdatedAt > 0 && problem === null && !isAnother;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the same answer again says it anew
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
      workspace: { id: data.session.workspace_id, name: here?.name ?? "Workspace" },
      workspaces,
      role,
      may: (needed) => ROLES.indexOf(role) >= ROLES.indexOf(needed),
      switchTo: (id) => {
        keep(id);
        chooseWorkspace(id);
        setWorkspace(id);
        // The next login begins there too, in whichever browser. If this fails, nothing else does.
        void server.PATCH("/api/auth/session", { body: { workspace_id: id } }).catch(() => undefined);
        void client.resetQueries();
      },
      logOut: async (next) => {
        try {
          await server.DELETE("/api/auth/session");
        } catch (error) {
          const isOut = error instanceof ApiError && error.status === 401;
          if (!isOut) {
            void refetch(); // It may be somebody else by now.
            return notify.refused("You are still logged in", error);
          }
        }
        leave(next);
      },
      leave,
    };
  }, [data, client, refetch]);

  const isOut = problem instanceof ApiError && problem.status === 401;
  if (isOut && session === null) return <>{login}</>;
  if (isAnother || (session === null && (isPending || isForeign)))
    return <Loading label="Opening Headrace" fill />;
  if (session === null) return <Refused error={problem} onRetry={() => void refetch()} />;
  return (
    <SessionContext.Provider value={session}>
      {children}
      {isOut && again}
    </SessionContext.Provider>
  );
}
