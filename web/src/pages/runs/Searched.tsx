import { Button, Stack, Text } from "@mantine/core";
import { Refused } from "@/ui/states";
import { inWords, type SearchedRuns } from "./searched";
import type { useRuns } from "./useRuns";

interface SearchedProps {
  query: ReturnType<typeof useRuns>;
  searched: SearchedRuns;
}

/** How far a search in run data looked, and the button that looks further. */
export function Searched({ query, searched }: SearchedProps) {
  if (query.isFetchNextPageError) {
    return <Refused error={query.error} onRetry={() => void query.fetchNextPage()} />;
  }
  return (
    <Stack align="center" gap="xs" p="sm">
      <Text size="sm" c="var(--quiet)" role="status">
        {query.isFetchingNextPage ? "Searching…" : inWords(searched, query.hasNextPage)}
      </Text>
      {query.hasNextPage && (
        <Button
          variant="default"
          loading={query.isFetchingNextPage}
          onClick={() => void query.fetchNextPage()}
        >
          Search older runs
        </Button>
      )}
    </Stack>
  );
}
