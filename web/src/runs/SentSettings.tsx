/** The settings of a step, with its expressions evaluated. The server computes them when they are shown. */
import { Box, Group, NumberInput, Stack, Text } from "@mantine/core";
import { keepPreviousData } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { api } from "@/api/client";
import { count } from "@/ui/format";
import { Loading, Refused } from "@/ui/states";
import classes from "./panel.module.css";
import { ValueView } from "./ValueView";

const REASONS: Record<string, string> = {
  skipped: "The node was skipped, so it sent nothing.",
  pinned: "The output is pinned: the node was not executed, so it sent nothing.",
};

interface SentSettingsProps {
  run: string;
  number: number;
  /** The level of its heading. */
  level: 2 | 3;
}

export function SentSettings({ run, number, level }: SentSettingsProps) {
  const [item, setItem] = useState(0);
  const { data, error, refetch } = api.useQuery(
    "get",
    "/api/runs/{run}/steps/{number}/settings",
    { params: { path: { run, number }, query: { item } } },
    { staleTime: 60_000, placeholderData: keepPreviousData },
  );
  const value = useMemo(
    () => Object.fromEntries(data?.settings?.map((one) => [one.name, one.ok ? one.value : null]) ?? []),
    [data],
  );
  if (error !== null && data === undefined) return <Refused error={error} onRetry={() => void refetch()} />;
  if (data === undefined) return <Loading label="Loading the settings" />;
  if (data.settings === null) {
    return (
      <Text size="sm" c="var(--quiet)" p="sm">
        {REASONS[data.reason ?? ""] ?? "The node was not executed."}
      </Text>
    );
  }
  const failed = data.settings.filter((one) => !one.ok);
  const cut = data.settings.filter((one) => one.truncated);
  return (
    <Box className={classes.sent}>
      {data.items !== null && data.items > 1 && (
        <Group gap="xs" p="xs" pb={0}>
          <NumberInput
            size="xs"
            w={90}
            aria-label="Item"
            min={1}
            max={data.items}
            value={item + 1}
            onChange={(next) => typeof next === "number" && next >= 1 && setItem(next - 1)}
          />
          <Text size="sm" c="var(--quiet)">
            of {count(data.items)} items
          </Text>
        </Group>
      )}
      {(failed.length > 0 || cut.length > 0) && (
        <Stack gap={2} p="xs" pb={0}>
          {failed.map((one) => (
            <Text key={one.name} size="xs" c="var(--failed)">
              {one.name}: {one.error}
            </Text>
          ))}
          {cut.map((one) => (
            <Text key={one.name} size="xs" c="var(--quiet)">
              {one.name} is long: only its beginning is shown.
            </Text>
          ))}
        </Stack>
      )}
      <Box className={classes.rest}>
        <ValueView title="Sent" value={value} nothing="This node has no settings" level={level} />
      </Box>
    </Box>
  );
}
