import { useMemo } from "react";
import { api, type Schemas } from "@/api/client";
import { CALM, LIVE } from "@/api/queries";
import { isMoving } from "@/runs/moving";
import { itemsOf, PAGED } from "@/ui/LoadMore";
import { askedOf, type Filters } from "./filters";

export type ListedRun = Schemas["RunItemOut"];

const PAGE = 50;

/** The pages of the list that were asked for, all looked at again while one watches: often where they are few. */
export function useRuns(filters: Filters) {
  // A range goes back from when it was chosen: were the question another one each minute, the list would begin anew.
  const query = useMemo(() => askedOf(filters, Date.now()), [filters]);
  const found = api.useInfiniteQuery(
    "get",
    "/api/runs",
    { params: { query: { ...query, limit: PAGE, brief: true } } },
    {
      ...PAGED,
      placeholderData: (previous) => previous,
      refetchInterval: (state) => {
        const pages = state.state.data?.pages ?? [];
        const moving = pages.some((page) => page.items.some(isMoving));
        return moving && pages.length <= 2 ? LIVE : CALM;
      },
    },
  );
  const runs = useMemo<ListedRun[]>(() => itemsOf<ListedRun>(found.data), [found.data]);
  return { ...found, runs };
}
