import { Button, Center } from "@mantine/core";

interface Query {
  hasNextPage: boolean;
  isFetchingNextPage: boolean;
  fetchNextPage: () => unknown;
}

/** A button for the next page of a list, where there is one. */
export function LoadMore({ query }: { query: Query }) {
  if (!query.hasNextPage) return null;
  return (
    <Center p="sm">
      <Button
        variant="default"
        size="xs"
        loading={query.isFetchingNextPage}
        onClick={() => void query.fetchNextPage()}
      >
        Load more
      </Button>
    </Center>
  );
}
