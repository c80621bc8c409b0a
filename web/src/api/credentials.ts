/** The workspace's credentials and the credential types. The server never returns their values. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import { api, type Schemas, server } from "./client";

export type Credential = Schemas["CredentialOut"];
/** A credential with the flows and agents that use it. */
export type CredentialUse = Schemas["CredentialUseOut"];
export type CredentialType = Schemas["CredentialTypeOut"];

const PATH = "/api/credentials";
const PAGE = 100;
const MOST_PAGES = 20;

async function allCredentials(used_by: boolean): Promise<CredentialUse[]> {
  const found: CredentialUse[] = [];
  let cursor: string | null | undefined;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const { data } = await server.GET(PATH, { params: { query: { limit: PAGE, cursor, used_by } } });
    found.push(...(data?.items ?? []));
    cursor = data?.next_cursor;
    if (!cursor) break;
  }
  return found;
}

/** Return all credentials, newest first. Pickers filter them by type and name. */
export function useCredentials() {
  return useQuery({
    queryKey: ["get", PATH, "all"],
    queryFn: () => allCredentials(false),
    staleTime: 10_000,
  });
}

/** Return all credentials, each with the flows and agents that use it. */
export function useCredentialsInUse() {
  return useQuery({
    queryKey: ["get", PATH, "used"],
    queryFn: () => allCredentials(true),
    staleTime: 10_000,
  });
}

const listeners = new Set<() => void>();

/** Call the listener after each change of a credential in this window. Return a function that ends it. */
export function whenCredentialsChange(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Return a function to call after a credential was created, changed or deleted. */
export function useCredentialsChanged(): () => Promise<void> {
  const client = useQueryClient();
  return async () => {
    await client.invalidateQueries({ queryKey: ["get", PATH] });
    await client.invalidateQueries({ queryKey: ["get", `${PATH}/{credential}`] });
    for (const listener of listeners) listener();
  };
}

export interface CredentialTypes {
  types: CredentialType[];
  find: (type: string) => CredentialType | undefined;
}

export function useCredentialTypes(): {
  types: CredentialTypes | undefined;
  error: unknown;
  retry: () => void;
} {
  const { data, error, refetch } = api.useQuery("get", "/api/credential-types", {}, { staleTime: 10 * 60_000 });
  const types = useMemo(
    () => data && { types: data.items, find: (name: string) => data.items.find((one) => one.type === name) },
    [data],
  );
  return { types, error, retry: () => void refetch() };
}

export function hostsOf(credential: Credential): string[] | null {
  return Array.isArray(credential.hosts) ? credential.hosts.map(String) : null;
}
