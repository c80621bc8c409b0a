/** Settings of TanStack Query: cache time, retries, and behavior while the server is away. */
import { QueryClient, useQueryClient } from "@tanstack/react-query";
import { ApiError } from "./client";
import type { paths } from "./schema";

export function makeQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 2_000,
        gcTime: 5 * 60_000,
        // A restarting server is back within a second. A refused request would be refused again.
        retry: (failures, error) => isPassing(error) && failures < 6,
        retryDelay: (attempt) => Math.min(500 * 2 ** attempt, 5_000),
        refetchOnWindowFocus: true,
        networkMode: "always",
      },
      mutations: { retry: false, networkMode: "always" },
    },
  });
}

/** Return true if the same request may succeed a moment later. */
export function isPassing(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 0 || error.status === 429 || error.status >= 502);
}

/** Poll intervals in milliseconds. */
export const LIVE = 1_000;
export const CALM = 5_000;

/**
 * For `refetchInterval`: poll often while something changes, else seldom. TanStack Query pauses both in a hidden tab.
 */
export function liveWhile(moving: boolean): number {
  return moving ? LIVE : CALM;
}

/** Return a function that loads again what these paths of the API returned. */
export function useReload(...reloaded: (keyof paths)[]): () => Promise<void> {
  const client = useQueryClient();
  return async () => {
    await Promise.all(reloaded.map((path) => client.invalidateQueries({ queryKey: ["get", path] })));
  };
}
