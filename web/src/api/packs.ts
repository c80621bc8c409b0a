/** The packs that the server has loaded: the app leaves out what needs another. */
import { api } from "./client";

export type Pack = "agents" | "connectors" | "forms" | "importing" | "tables";

const SELDOM = 60_000;

/** The version of the server, its state and its packs. */
export function useServerState() {
  const often = { staleTime: SELDOM, refetchInterval: SELDOM, retry: false };
  return api.useQuery("get", "/api/ready", {}, often).data;
}

/** Return whether the server has the pack; true until it says that it has not. */
export function usePack(name: Pack): boolean {
  return useServerState()?.packs.includes(name) ?? true;
}

/** Return the packs that the server is known not to have. */
export function usePacksOff(): (name: Pack) => boolean {
  const packs = useServerState()?.packs;
  return (name) => packs !== undefined && !packs.includes(name);
}
