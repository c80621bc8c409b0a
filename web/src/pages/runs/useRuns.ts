import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { type Schemas, server } from "@/api/client";
import { CALM, LIVE } from "@/api/queries";
import { isMoving } from "@/runs/moving";
import { askedOf, type Filters } from "./filters";

export type ListedRun = Schemas["RunItemOut"];
type Page = Schemas["RunItemOutList"];

const PAGE = 50;

/** The pages of the list that were asked for, all looked at again while one watches: often where they are few. */
export function useRuns(filters: Filters) {
  // A range goes back from when it was chosen: were the question another one each minute, the list would begin anew.
  const asked = useMemo(() => askedOf(filters, Date.now()), [filters]);
  const found = useInfiniteQuery({
    queryKey: ["get", "/api/runs", "pages", asked],
    queryFn: async ({ pageParam, signal }) => {
      const query = { ...asked, limit: PAGE, brief: true, cursor: pageParam };
      return (await server.GET("/api/runs", { params: { query }, signal })).data as Page;
    },
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) => {
      const pages = state.data?.pages ?? [];
      const moving = pages.some((page) => page.items.some(isMoving));
      return moving && pages.length <= 2 ? LIVE : CALM;
    },
  });
  const runs = useMemo<ListedRun[]>(
    () => found.data?.pages.flatMap((page) => page.items) ?? [],
    [found.data],
  );
  return { ...found, runs };
}
