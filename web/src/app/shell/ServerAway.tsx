import { Group, Text } from "@mantine/core";
import { IconPlugConnectedX } from "@tabler/icons-react";
import { type QueryCache, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { ApiError } from "@/api/client";
import classes from "./shell.module.css";

/** Number of failures to ignore: one may be a restart. */
const FAILURES = 2;

function isAway(error: unknown): boolean {
  return error instanceof ApiError && [0, 502, 504].includes(error.status);
}

/** Return true if a cache event shows that the server is away, False if it is there, undefined for neither. */
export function toldBy(event: Parameters<Parameters<QueryCache["subscribe"]>[0]>[0]): boolean | undefined {
  if (event.type !== "updated") return undefined;
  const { action } = event;
  if (action.type === "success") return action.manual ? undefined : false;
  if (action.type === "failed" && action.failureCount < FAILURES) return undefined;
  if (action.type !== "failed" && action.type !== "error") return undefined;
  return isAway(action.error) ? true : undefined;
}

/** Show a notice while the server cannot be reached and pages wait for it or show old data. */
export function ServerAway() {
  const client = useQueryClient();
  const [away, setAway] = useState(false);
  useEffect(
    () =>
      client.getQueryCache().subscribe((event) => {
        const told = toldBy(event);
        if (told !== undefined) setAway(told);
      }),
    [client],
  );
  return (
    <div role="status">
      {away && (
        <Group px="md" py={8} gap="xs" wrap="nowrap" className={classes.away}>
          <IconPlugConnectedX size={18} color="var(--failed)" aria-hidden style={{ flexShrink: 0 }} />
          <Text size="sm">The server cannot be reached. The page may show old data. Reconnecting…</Text>
        </Group>
      )}
    </div>
  );
}
