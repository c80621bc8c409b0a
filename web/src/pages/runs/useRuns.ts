import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { type Schemas, server } from "@/api/client";
import { CALM, LIVE } from "@/api/queries";
import { isMoving } from "@/runs/values";
import { askedOf, type Filters, searchedIn } from "./filters";

export type ListedRun = Schemas["RunItemOut"];
type Page = Schemas["RunItemOutFoundList"];

const PAGE = 50;

type Asked = ReturnType<typeof askedOf>;

async function fetchPage(asked: Asked, cursor: string | null, signal: AbortSignal): Promise<Page> {
  const query = { ...asked, limit: PAGE, brief: true, cursor };
  return (await server.GET("/api/runs", { params: { query }, signal })).data as Page;
}

/**
 * Fetch the list of runs. All loaded pages are refreshed while the user watches, more often if they are few; but not those
 * of a search in run data, each of which takes the server seconds.
 */
function usePages(asked: Asked, pause: (pages: Page[]) => number) {
  const found = useInfiniteQuery({
    queryKey: ["get", "/api/runs", "pages", asked],
    queryFn: ({ pageParam, signal }) => fetchPage(asked, pageParam, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    placeholderData: asked.data === undefined ? keepPreviousData : undefined,
    refetchInterval: ({ state }) => asked.data === undefined && pause(state.data?.pages ?? []),
    ...(asked.data !== undefined && { refetchOnWindowFocus: false, staleTime: 60_000 }),
  });
  const runs = useMemo<ListedRun[]>(() => found.data?.pages.flatMap((page) => page.items) ?? [], [found.data]);
  const searched = useMemo(() => searchedIn(found.data?.pages ?? []), [found.data]);
  return { ...found, runs, searched };
}

export function useRuns(filters: Filters) {
  // A relative range counts from the moment it was chosen: a new query each minute would reset the list.
  const asked = useMemo(() => askedOf(filters, Date.now()), [filters]);
  return usePages(asked, (pages) => {
    const moving = pages.some((page) => page.items.some(isMoving));
    return moving && pages.length <= 2 ? LIVE : CALM;
  });
}

const WAITING: Asked = { waiting: true };

/** Fetch the runs that wait for an answer. */
export function useWaitingRuns() {
  return usePages(WAITING, () => CALM / 2);
}
