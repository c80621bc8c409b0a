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
  noun?: string;
}

/** A button for the next page of a list, where there is one. */
export function LoadMore({ query, noun = "" }: LoadMoreProps) {
  if (query.isFetchNextPageError) {
    return <Refused error={query.error} onRetry={() => void query.fetchNextPage()} />;
  }
  if (!query.hasNextPage) return null;
  return (
    <Center p="sm">
      <Button
        variant="default"
        size="xs"
        loading={query.isFetchingNextPage}
        onClick={() => void query.fetchNextPage()}
      >
        Load more {noun}
      </Button>
    </Center>
  );
}
