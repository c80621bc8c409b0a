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
  /** What there is more of, such as "flows". */
  noun: string;
}

/** Fetches the next page of a list, where there is one. */
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

/** What `api.useInfiniteQuery` needs to know of our lists. */
export const PAGED = {
  pageParamName: "cursor",
  // Not undefined, in whose place the library puts 0.
  initialPageParam: null,
  getNextPageParam: (page: { next_cursor?: string | null }) => page.next_cursor ?? undefined,
} as const;

/** The items of all pages that were fetched. */
export function itemsOf<Item>(data: { pages: { items: Item[] }[] } | undefined): Item[] {
  return data?.pages.flatMap((page) => page.items) ?? [];
}
