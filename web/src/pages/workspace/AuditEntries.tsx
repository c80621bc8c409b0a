import { ActionIcon, Anchor, Group, Stack, Text, Tooltip } from "@mantine/core";
import { IconFilter } from "@tabler/icons-react";
import { Link } from "wouter";
import { Card } from "@/ui/Page";
import { Table, Td, Tr } from "@/ui/Table";
import { Time } from "@/ui/Time";
import { actionInWords, changesInWords, type Entry, pageOf } from "./audit";
import classes from "./audit.module.css";

interface AuditEntriesProps {
  entries: Entry[];
  /** Filter the list by one target. */
  onTarget: (id: string) => void;
}

export function AuditEntries({ entries, onTarget }: AuditEntriesProps) {
  return (
    <Card pad={false}>
      <Table label="Audit log" head={["Time", "User", "Action", "Changes"]} minWidth={700}>
        {entries.map((entry) => (
          <Tr key={entry.id} className={classes.entry}>
            <Td className={classes.when}>
              <Time at={entry.created_at} />
            </Td>
            <Td className={classes.who}>
              <Who entry={entry} />
            </Td>
            <Td className={classes.what}>
              <Text size="sm">{actionInWords(entry.action)}</Text>
              <Target entry={entry} onTarget={onTarget} />
            </Td>
            <Td className={classes.changes}>
              <Changes entry={entry} />
            </Td>
          </Tr>
        ))}
      </Table>
    </Card>
  );
}

/** The user's name; address, token and machine as details. */
function Who({ entry }: { entry: Entry }) {
  const name = entry.names[entry.user_id ?? ""];
  const recorded =
    entry.user_email ?? (entry.address === null ? "On the server (command line)" : "Signed link");
  const from = [name === undefined || name === recorded ? null : recorded, entry.address];
  return (
    <>
      <Text size="sm" fw={550} title={entry.user_email ?? undefined}>
        {name ?? recorded}
      </Text>
      <Text size="xs" c="var(--quiet)">
        {from.filter(Boolean).join(" · ")}
      </Text>
      {entry.token_name && (
        <Text size="xs" c="var(--quiet)">
          API token “{entry.token_name}”
        </Text>
      )}
    </>
  );
}

/** The target's current name with a link; the recorded name if it was deleted or renamed. */
function Target({ entry, onTarget }: { entry: Entry; onTarget: (id: string) => void }) {
  const { target_id: id, target_name: recorded, target_type: type } = entry;
  // The id of a session means nothing to people.
  if (type === "session" || (id === null && recorded === null)) return null;
  const now = id === null ? undefined : entry.names[id];
  const path = now === undefined || id === null ? undefined : pageOf(id, entry);
  const isPerson = type === "user" || type === "member";
  // A user who changes their own profile is named once.
  if (isPerson && id === entry.user_id) return null;
  return (
    <>
      <Group gap={4} wrap="nowrap" align="flex-start">
        {path === undefined ? (
          <Text size="sm" c="var(--quiet)">
            {now ?? recorded ?? id}
          </Text>
        ) : (
          <Anchor component={Link} href={path} size="sm" lineClamp={2} title={now}>
            {now}
          </Anchor>
        )}
        {id !== null && (
          <Tooltip label="Show all entries for this" openDelay={300}>
            <ActionIcon
              className={classes.only}
              size="sm"
              variant="subtle"
              color="gray"
              aria-label={`Show all entries for ${now ?? recorded ?? id}`}
              onClick={() => onTarget(id)}
            >
              <IconFilter size={14} aria-hidden />
            </ActionIcon>
          </Tooltip>
        )}
      </Group>
      {now !== undefined && recorded !== null && recorded !== now && (
        <Text size="xs" c="var(--quiet)" lineClamp={2}>
          {isPerson ? recorded : `At that time: “${recorded}”`}
        </Text>
      )}
      {now === undefined && id !== null && type !== "preset" && (
        <Text size="xs" c="var(--quiet)">
          Deleted
        </Text>
      )}
    </>
  );
}

function Changes({ entry }: { entry: Entry }) {
  const lines = changesInWords(entry);
  if (lines.length === 0) return null;
  return (
    <Stack gap={2}>
      {lines.map(({ text, link }) => (
        <Text size="sm" key={text}>
          {text}
          {link && (
            <Anchor component={Link} href={link.path} size="sm" underline="always">
              {link.label}
            </Anchor>
          )}
        </Text>
      ))}
    </Stack>
  );
}
