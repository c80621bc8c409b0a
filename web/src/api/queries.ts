/** How long answers are kept, when they are asked for again, and what is done when the server is away. */
import { QueryClient } from "@tanstack/react-query";
import { ApiError } from "./client";

export function makeQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 2_000,
        gcTime: 5 * 60_000,
        // A server that restarts is back in a second; what it refuses, it refuses again.
        retry: (failures, error) => isPassing(error) && failures < 6,
        retryDelay: (attempt) => Math.min(500 * 2 ** attempt, 5_000),
        refetchOnWindowFocus: true,
        networkMode: "always",
      },
      mutations: { retry: false, networkMode: "always" },
    },
  });
}

/** Whether the same request may well succeed a moment later. */
export function isPassing(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 0 || error.status === 429 || error.status >= 502);
}

/** Milliseconds between two looks at what changes while one watches. */
export const LIVE = 1_000;
export const CALM = 5_000;

/** For `refetchInterval`: often while something moves, seldom else. TanStack Query pauses both in a hidden tab. */
export function liveWhile(moving: boolean): number {
  return moving ? LIVE : CALM;
}
