import { Text } from "@mantine/core";
import type { Schemas } from "@/api/client";
import { LOCALE } from "@/ui/format";
import classes from "./panel.module.css";

const clock = new Intl.DateTimeFormat(LOCALE, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
});

interface LogLinesProps {
  entries: Schemas["LogOut"][];
  /** Names of nodes by id, if each entry should show its node. */
  names?: ReadonlyMap<string, string>;
  withNode?: boolean;
}

const MOST_DATA = 2_000;

function shown(data: unknown): string {
  const text = typeof data === "string" ? data : JSON.stringify(data, null, 2);
  return text.length > MOST_DATA ? `${text.slice(0, MOST_DATA)}…` : text;
}

/** Log entries, oldest first. */
export function LogLines({ entries, names, withNode = true }: LogLinesProps) {
  if (entries.length === 0) {
    return (
      <Text size="sm" c="var(--quiet)">
        No log entries.
      </Text>
    );
  }
  return (
    <ul className={classes.entries}>
      {entries.map((entry) => (
        <li key={entry.id} className={classes.entry}>
          <time className={classes.clock} dateTime={entry.created_at}>
            {clock.format(new Date(entry.created_at))}
          </time>
          <span className={classes.level} data-level={entry.level}>
            {entry.level}
          </span>
          <span className={classes.text}>
            {withNode && entry.node_id !== null && (
              <Text span size="sm" c="var(--quiet)">
                {names?.get(entry.node_id) ?? entry.node_id}:{" "}
              </Text>
            )}
            {entry.message}
          </span>
          {entry.data !== null && entry.data !== undefined && (
            <span className={classes.more}>{shown(entry.data)}</span>
          )}
        </li>
      ))}
    </ul>
  );
}
