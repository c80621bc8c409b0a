import { Button, Center } from "@mantine/core";
import { Refused } from "./states";

interface LoadMoreProps {
  /** A query of `api.useInfiniteQuery`. */
  query: {
    hasNextPage: boolean;
    isFetchingNextPage: boolean;
    isFetchNextPageError: boolean;
    error: unknown;
    fetchNextPage: () => unknown;
  };
  /** The plural noun of the items, such as "flows". */
  noun: string;
}

/** Load the next page of a list, if there is one. */
export function LoadMore({ query, noun }: LoadMoreProps) {
  if (query.isFetchNextPageError) {
    return <Refused error={query.error} onRetry={() => void query.fetchNextPage()} />;
  }
  if (!query.hasNextPage) return null;
  return (
    <Center p="sm">
      <Button variant="default" loading={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
        Load more {noun}
      </Button>
    </Center>
  );
}

/** Options of `api.useInfiniteQuery` for our paginated lists. */
export const PAGED = {
  pageParamName: "cursor",
  // Not undefined: the library would replace it by 0.
  initialPageParam: null,
  getNextPageParam: (page: { next_cursor?: string | null }) => page.next_cursor ?? undefined,
} as const;

/** Return the items of all pages fetched so far. */
export function itemsOf<Item>(data: { pages: { items: Item[] }[] } | undefined): Item[] {
  return data?.pages.flatMap((page) => page.items) ?? [];
}
