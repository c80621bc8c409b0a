/** Lists that come in pages: one hook that asks for the next by the cursor of the last. */
import { type InfiniteData, type UseInfiniteQueryResult, useInfiniteQuery } from "@tanstack/react-query";

interface PageOf<Item> {
  items: Item[];
  next_cursor?: string | null;
}

interface Paged<Item> {
  items: Item[] | undefined;
  query: UseInfiniteQueryResult<InfiniteData<PageOf<Item>>>;
}

/** `load` asks for the page after `cursor`; `key` names the list with all its filters. */
export function usePages<Item>(
  key: readonly unknown[],
  load: (cursor: string | null, signal: AbortSignal) => Promise<PageOf<Item>>,
  options: { refetchInterval?: number | false; enabled?: boolean } = {},
): Paged<Item> {
  const query = useInfiniteQuery({
    queryKey: key,
    queryFn: ({ pageParam, signal }) => load(pageParam, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    ...options,
  });
  return { items: query.data?.pages.flatMap((page) => page.items), query };
}
