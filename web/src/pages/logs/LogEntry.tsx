import { ActionIcon, Anchor, Text, Tooltip } from "@mantine/core";
import { IconChevronDown, IconChevronRight } from "@tabler/icons-react";
import { Link } from "wouter";
import { Clamped } from "@/ui/Clamped";
import { LOCALE, size } from "@/ui/format";
import { cutOf, type Entry } from "./logs";
import classes from "./logs.module.css";

const clock = new Intl.DateTimeFormat(LOCALE, {
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
});

interface LogEntryProps {
  entry: Entry;
  isOpen: boolean;
  onToggle: () => void;
}

/** One log entry: time, level, message, run and node; its data can be expanded. */
export function LogEntry({ entry, isOpen, onToggle }: LogEntryProps) {
  const hasData = entry.data !== null && entry.data !== undefined;
  return (
    <>
      <time className={classes.time} dateTime={entry.created_at}>
        {clock.format(new Date(entry.created_at))}
      </time>
      <span className={classes.level} data-level={entry.level}>
        {entry.level}
      </span>
      <div className={classes.message}>
        <Clamped text={entry.message} lines={6} size="inherit" />
        <Origin entry={entry} />
      </div>
      {hasData ? (
        <Tooltip label={isOpen ? "Hide data" : "Show data"}>
          <ActionIcon
            variant="subtle"
            color="gray"
            c="var(--quiet)"
            size="sm"
            aria-label="Data"
            aria-expanded={isOpen}
            onClick={onToggle}
          >
            {isOpen ? <IconChevronDown size={16} aria-hidden /> : <IconChevronRight size={16} aria-hidden />}
          </ActionIcon>
        </Tooltip>
      ) : (
        <span />
      )}
      {hasData && isOpen && <Data entry={entry} />}
    </>
  );
}

/** The run and the node that wrote the entry. */
function Origin({ entry }: { entry: Entry }) {
  if (entry.run_id === null) return null;
  const node = entry.node_id === null ? "" : `?node=${encodeURIComponent(entry.node_id)}`;
  return (
    <Text size="xs" c="var(--quiet)" component="div" lineClamp={2}>
      <Anchor component={Link} href={`/runs/${entry.run_id}${node}`} inherit underline="always">
        {entry.workflow_name ?? "Run"}
      </Anchor>
      {entry.node_id !== null && ` · ${entry.node_id}`}
    </Text>
  );
}

function Data({ entry }: { entry: Entry }) {
  const cut = cutOf(entry.data);
  const text =
    cut?.start ?? (typeof entry.data === "string" ? entry.data : JSON.stringify(entry.data, null, 2));
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: scrollable content must be reachable by keyboard
    <pre className={classes.data} tabIndex={0}>
      {text}
      {cut !== null && `…\n\n${size(cut.bytes)} in total. Open the run to see the rest.`}
    </pre>
  );
}
