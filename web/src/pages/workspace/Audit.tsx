/** The audit log: changes, with user and time. */

import { ActionIcon, Anchor, Button, Group, Select, Stack, Text, Tooltip } from "@mantine/core";
import { IconFilter, IconX } from "@tabler/icons-react";
import { useMemo } from "react";
import { Link } from "wouter";
import { api, type Schemas } from "@/api/client";
import { useSession } from "@/app/session";
import { Between, FilterBar, FilterSelect } from "@/ui/FilterBar";
import { instant } from "@/ui/format";
import { itemsOf, LoadMore, PAGED } from "@/ui/LoadMore";
import { type QueryState, useQueryState } from "@/ui/listState";
import { Card, Page } from "@/ui/Page";
import { Quiet } from "@/ui/Quiet";
import { Empty, LoadingRows, Refused } from "@/ui/states";
import { Table, Td, Tr } from "@/ui/Table";
import { Time } from "@/ui/Time";
import { type Action, actionInWords, changesInWords, type Entry, pageOf, SUBJECTS } from "./audit";
import classes from "./audit.module.css";

interface AuditEntriesProps {
  entries: Entry[];
  /** Filter the list by one target. */
  onTarget: (id: string) => void;
}

function AuditEntries({ entries, onTarget }: AuditEntriesProps) {
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
  const recorded = entry.user_email ?? (entry.address === null ? "On the server (command line)" : "Signed link");
  const from = [name === undefined || name === recorded ? null : recorded, entry.address];
  return (
    <>
      <Text size="sm" fw={550} title={entry.user_email ?? undefined}>
        {name ?? recorded}
      </Text>
      <Quiet size="xs">{from.filter(Boolean).join(" · ")}</Quiet>
      {entry.token_name && <Quiet size="xs">API token “{entry.token_name}”</Quiet>}
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
          <Quiet>{now ?? recorded ?? id}</Quiet>
        ) : (
          <Anchor component={Link} href={path} size="sm" lineClamp={2} title={now}>
            {now}
          </Anchor>
        )}
        {id !== null && (
          <Tooltip label="Show all entries for this">
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
        <Quiet size="xs" lineClamp={2}>
          {isPerson ? recorded : `At that time: “${recorded}”`}
        </Quiet>
      )}
      {now === undefined && id !== null && type !== "preset" && <Quiet size="xs">Deleted</Quiet>}
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

const FILTERS = { action: "", user: "", target: "", days: "", since: "", until: "" };
type State = QueryState<keyof typeof FILTERS>;

const ACTIONS = [
  { value: "", label: "All actions" },
  { group: "All actions on", items: SUBJECTS.map(({ value, label }) => ({ value, label })) },
  ...SUBJECTS.map(({ value, label, verbs }) => ({
    group: label,
    items: verbs.map((verb) => ({ value: `${value}.${verb}`, label: actionInWords(`${value}.${verb}`) })),
  })),
];

const PERIODS = [
  { value: "", label: "Any time" },
  { value: "1", label: "Last 24 hours" },
  { value: "7", label: "Last 7 days" },
  { value: "30", label: "Last 30 days" },
  { value: "custom", label: "Custom range" },
];

/** Return the start of the hour that many days ago: rounded, so that the query keeps its cache key for an hour. */
function daysAgo(days: string): string | undefined {
  const number = Number(days);
  if (!(number > 0 && number < 10_000)) return undefined;
  const hour = 3_600_000;
  return new Date(Math.floor(Date.now() / hour) * hour - number * 24 * hour).toISOString();
}

function askedOf(values: State["values"]) {
  return {
    action: (values.action || undefined) as Action | undefined,
    user_id: values.user || undefined,
    target_id: values.target || undefined,
    since: daysAgo(values.days) ?? instant(values.since),
    until: instant(values.until),
    limit: 50,
  };
}

export default function Audit() {
  const { may } = useSession();
  const state = useQueryState(FILTERS);
  const params = { query: askedOf(state.values) };
  const query = api.useInfiniteQuery("get", "/api/audit", { params }, { ...PAGED, enabled: may("owner") });
  const entries = itemsOf(query.data);
  if (!may("owner")) {
    return (
      <Page title="Audit log">
        <Empty
          title="Owners only"
          hint="The audit log shows every change with its user and time. Only owners of the workspace can read it."
        />
      </Page>
    );
  }
  return (
    <Page title="Audit log" about="Every change, with its user and time.">
      <AuditFilters state={state} entries={entries} />
      {query.isPending && <LoadingRows />}
      {query.error && query.data === undefined && <Refused error={query.error} onRetry={() => void query.refetch()} />}
      {query.data &&
        (entries.length > 0 ? (
          <AuditEntries entries={entries} onTarget={(target) => state.change({ target })} />
        ) : (
          <Empty
            title={state.isSet ? "No matching entries" : "No entries yet"}
            hint={state.isSet ? "Try other filters." : undefined}
          />
        ))}
      <LoadMore query={query} noun="entries" />
    </Page>
  );
}

function AuditFilters({ state, entries }: { state: State; entries: Entry[] }) {
  const { values, change, isSet, clear } = state;
  const people = usePeople(values.user, entries);
  const period = values.days || (values.since || values.until ? "custom" : "");
  return (
    <FilterBar isSet={isSet} onClear={clear}>
      <Select
        aria-label="Action"
        data={ACTIONS}
        value={values.action}
        onChange={(action) => change({ action: String(action ?? "") })}
        searchable
        nothingFoundMessage="No such action"
        w={{ base: "calc(50% - 5px)", sm: 230 }}
        checkIconPosition="right"
        comboboxProps={{ shadow: "md", width: 260, position: "bottom-start" }}
      />
      <FilterSelect
        label="User"
        value={values.user}
        options={people}
        onChange={(user) => change({ user })}
        searchable
        width={190}
      />
      <FilterSelect
        label="Time"
        value={period}
        options={PERIODS}
        onChange={(days) => change({ days, since: "", until: "" })}
        width={180}
      />
      {period === "custom" && <Between since={values.since} until={values.until} onChange={change} />}
      {values.target !== "" && (
        <Button
          variant="light"
          maw={280}
          rightSection={<IconX size={16} aria-hidden />}
          aria-label={`Only ${nameOf(values.target, entries)}: show all`}
          onClick={() => change({ target: "" })}
        >
          {nameOf(values.target, entries)}
        </Button>
      )}
    </FilterBar>
  );
}

function nameOf(target: string, entries: Entry[]): string {
  const entry = entries.find((one) => one.target_id === target);
  return entry?.names[target] ?? entry?.target_name ?? target;
}

/** Options of the filter by user: the members, and the user in the address even if they have left. */
function usePeople(chosen: string, entries: Entry[]) {
  const { may } = useSession();
  const { data } = api.useQuery("get", "/api/members", {}, { enabled: may("owner") });
  return useMemo(() => {
    const people = (data?.items ?? []).map((member: Schemas["MemberOut"]) => ({
      value: member.user_id,
      label: member.name || member.email,
    }));
    if (chosen !== "" && !people.some((one) => one.value === chosen)) {
      const entry = entries.find((one) => one.user_id === chosen);
      people.push({
        value: chosen,
        label: entry?.names[chosen] ?? entry?.user_email ?? "Former member",
      });
    }
    return [{ value: "", label: "Any user" }, ...people];
  }, [data, chosen, entries]);
}
