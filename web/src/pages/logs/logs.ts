/** Log entries: older ones page by page, new ones as they are written. Pure except for the hook. */
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { api, type Schemas } from "@/api/client";
import { LIVE } from "@/api/queries";
import { itemsOf, PAGED } from "@/ui/LoadMore";

export type Entry = Schemas["LogItemOut"];
export const FILTERS = { search: "", level: "", workflow_id: "", run_id: "" };
export type Filters = typeof FILTERS;

const PAGE = 100;
/** The most entries that one poll returns; if there are more, the list is reloaded. */
const MOST_NEW = 200;
const MOST_KEPT = 5_000;

/** Return the new entries, without those already present, followed by the present ones. */
export function withNew(before: readonly Entry[], found: readonly Entry[]): readonly Entry[] {
  const known = new Set(before.map((entry) => entry.id));
  const young = found.filter((entry) => !known.has(entry.id));
  return young.length === 0 ? before : [...young, ...before].slice(0, MOST_KEPT);
}

/** Return size in bytes and beginning of data that the server truncated; null for other data. */
export function cutOf(data: unknown): { bytes: number; start: string } | null {
  if (typeof data !== "object" || data === null || !("$cut" in data)) return null;
  return (data as { $cut: { bytes: number; start: string } }).$cut;
}

function queryOf(filters: Filters) {
  const given = Object.entries(filters).filter(([, value]) => value !== "");
  return { brief: true, ...(Object.fromEntries(given) as Partial<Filters>) };
}

/**
 * The matching entries, newest first. `held` are new entries that are not shown yet: while `follow` is false they wait,
 * so that the list does not move while the user reads.
 */
export function useLogs(filters: Filters, follow: boolean) {
  const client = useQueryClient();
  const query = useMemo(() => queryOf(filters), [filters]);
  const older = api.useInfiniteQuery(
    "get",
    "/api/logs",
    { params: { query: { ...query, limit: PAGE } } },
    { ...PAGED, staleTime: Number.POSITIVE_INFINITY, refetchOnWindowFocus: false, gcTime: 0 },
  );
  const pages = useMemo(() => itemsOf(older.data), [older.data]);
  const [tail, setTail] = useState<readonly Entry[]>([]);
  const [shown, setShown] = useState<readonly Entry[]>([]);
  const [began] = useState(() => new Date().toISOString());

  // biome-ignore lint/correctness/useExhaustiveDependencies: other filters select other entries
  useEffect(() => {
    setTail([]);
    setShown([]);
  }, [query]);

  const since = (tail[0] ?? pages[0])?.created_at ?? began;
  const young = api.useQuery(
    "get",
    "/api/logs",
    { params: { query: { ...query, since, limit: MOST_NEW } } },
    { enabled: older.data !== undefined, refetchInterval: LIVE * 2, staleTime: 0, gcTime: 0 },
  );
  useEffect(() => {
    if (young.data === undefined) return;
    if (young.data.next_cursor) {
      // More new entries than one poll returns: some are missing in between.
      setTail([]);
      setShown([]);
      void client.resetQueries({ queryKey: ["get", "/api/logs"] });
      return;
    }
    const found = young.data.items;
    const known = new Set(pages.slice(0, MOST_NEW).map((entry) => entry.id));
    setTail((before) =>
      withNew(
        before,
        found.filter((entry) => !known.has(entry.id)),
      ),
    );
  }, [young.data, pages, client]);
  useEffect(() => {
    if (follow) setShown(tail);
  }, [follow, tail]);

  const entries = useMemo(() => [...shown, ...pages], [shown, pages]);
  return { entries, held: tail.length - shown.length, older, error: older.error as unknown };
}
