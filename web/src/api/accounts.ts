/** The services whose accounts can be connected, and connecting an account in another window. */
import { useEffect, useRef, useState } from "react";
import { api, type Schemas, server } from "./client";
import { type Credential, useCredentialsChanged } from "./credentials";

export type Provider = Schemas["ProviderOut"];
export type Connection = Schemas["ConnectionOut"];

/** The type of credentials that a person connects. */
export const ACCOUNT = "oauth2";
export const CUSTOM = "custom";
/** The channel on which the page to which services send users back informs all windows of the app. */
const CHANNEL = "headrace-accounts";
const LOOK_AGAIN = 3_000;
const WINDOW = "popup,width=620,height=760";

export function useProviders() {
  return api.useQuery("get", "/api/oauth-providers", {}, { staleTime: 60_000 });
}

/** Return true if a person has to connect the account before flows can use the credential. */
export function needsConnection(credential: Credential): boolean {
  return credential.connection?.status === "not_connected" || credential.connection?.status === "revoked";
}

/** Return the address if it is safe to open: nothing but web pages, encrypted unless on this machine. */
export function safeAddress(text: string): string | null {
  try {
    const url = new URL(text);
    const isLocal = ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
    return url.protocol === "https:" || (url.protocol === "http:" && isLocal) ? url.href : null;
  } catch {
    return null;
  }
}

interface Told {
  status: "ok" | "failed";
  credential: string;
  text: string;
}

async function freshConnection(id: string): Promise<Connection | null> {
  const { data } = await server.GET("/api/credentials/{credential}", {
    params: { path: { credential: id } },
  });
  return data?.connection ?? null;
}

export interface Connecting {
  isWaiting: boolean;
  /** What went wrong, or null. */
  problem: unknown;
  /** `made` creates the credential first, after the window was opened. Without an id, nothing is connected. */
  start: (made?: () => Promise<string | undefined>) => Promise<void>;
  cancel: () => void;
}

/** Connect the account of the credential of this id in another window; in this one if the browser opens no other. */
export function useConnecting(known?: string): Connecting {
  const changed = useCredentialsChanged();
  const [isWaiting, setWaiting] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  const before = useRef<string | null>(null);
  const opened = useRef<Window | null>(null);
  const [made, setMade] = useState<string>();
  const id = made ?? known;

  const finish = useRef(async (error: unknown) => {
    opened.current?.close();
    // The new status is there before the wait ends.
    await changed();
    setProblem(error);
    setWaiting(false);
  });

  useEffect(() => {
    if (!isWaiting || id === undefined) return;
    const channel = new BroadcastChannel(CHANNEL);
    channel.onmessage = ({ data }: MessageEvent<Told>) => {
      if (data.status === "ok" && data.credential === id) void finish.current(null);
      if (data.status === "failed") void finish.current(new Error(data.text));
    };
    // Some browsers keep windows of other sites apart from the channel.
    const timer = setInterval(async () => {
      const present = await freshConnection(id).catch(() => null);
      if (present?.status === "connected" && present.connected_at !== before.current) void finish.current(null);
    }, LOOK_AGAIN);
    return () => {
      channel.close();
      clearInterval(timer);
    };
  }, [isWaiting, id]);

  async function start(make?: () => Promise<string | undefined>) {
    setProblem(null);
    // Opened at once, since browsers block windows that open later than the click.
    opened.current = window.open("", "headrace-account", WINDOW);
    try {
      const target = make === undefined ? id : await make();
      if (target === undefined) {
        opened.current?.close();
        return;
      }
      setMade(target);
      before.current = (await freshConnection(target))?.connected_at ?? null;
      const { data } = await server.POST("/api/credentials/{credential}/connect", {
        params: { path: { credential: target } },
      });
      const address = safeAddress(data?.authorization_url ?? "");
      if (address === null) throw new Error("The authorization URL of this credential is not safe to open");
      if (opened.current === null) window.location.assign(address);
      else opened.current.location.replace(address);
      setWaiting(true);
    } catch (error) {
      await finish.current(error);
    }
  }

  function cancel() {
    opened.current?.close();
    setWaiting(false);
  }
  return { isWaiting, problem, start, cancel };
}
