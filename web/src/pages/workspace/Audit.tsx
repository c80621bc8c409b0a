/** The audit trail: who changed what, and when. */
import { Anchor, Stack, Text } from "@mantine/core";
import { Link } from "wouter";
import { api, type Schemas } from "@/api/client";
import { useSession } from "@/app/session";
import { FilterBar, FilterSelect } from "@/ui/FilterBar";
import { itemsOf, LoadMore, PAGED } from "@/ui/LoadMore";
import { Card, Page } from "@/ui/Page";
import { Empty, LoadingRows, Refused } from "@/ui/states";
import { Table, Td, Tr } from "@/ui/Table";
import { Time } from "@/ui/Time";
import { useQueryState } from "@/ui/useQueryState";
import { actionInWords, changesInWords } from "./audit";

type Entry = Schemas["AuditOut"];

const FILTERS = { action: "", user: "", days: "" };

const SUBJECTS = [
  { value: "", label: "All changes" },
  { value: "flow", label: "Flows" },
  { value: "run", label: "Runs" },
  { value: "credential", label: "Credentials" },
  { value: "agent", label: "Agents" },
  { value: "memory", label: "Memory of agents" },
  { value: "member", label: "Members" },
  { value: "token", label: "API tokens" },
  { value: "workspace", label: "Workspaces" },
  { value: "session", label: "Logins" },
  { value: "profile", label: "Profiles" },
  { value: "password", label: "Passwords" },
  { value: "preset", label: "Palettes" },
] as const;

const PERIODS = [
  { value: "", label: "Any time" },
  { value: "1", label: "Last 24 hours" },
  { value: "7", label: "Last 7 days" },
  { value: "30", label: "Last 30 days" },
];

const PAGES: Record<string, string> = { workflow: "/flows", flow: "/flows", run: "/runs", agent: "/agents" };

/** The start of the hour that many days ago: a list must not change its name with each look at the clock. */
function daysAgo(days: string): string | undefined {
  if (days === "") return undefined;
  const hour = 3_600_000;
  return new Date(Math.floor(Date.now() / hour) * hour - Number(days) * 24 * hour).toISOString();
}

export default function Audit() {
  const { may } = useSession();
  const { values, change, isSet, clear } = useQueryState(FILTERS);
  const { data: members } = api.useQuery("get", "/api/members");
  const action = (values.action || undefined) as Entry["action"] | undefined;
  const params = {
    query: { action, user_id: values.user || undefined, since: daysAgo(values.days), limit: 50 },
  };
  const query = api.useInfiniteQuery("get", "/api/audit", { params }, { ...PAGED, enabled: may("owner") });
  if (!may("owner")) {
    return (
      <Page title="Audit trail">
        <Empty title="For owners" hint="An owner of the workspace sees who changed what, and when." />
      </Page>
    );
  }
  const people = members?.items.map((member) => ({ value: member.user_id, label: member.name })) ?? [];
  return (
    <Page title="Audit trail" about="Who changed what, and when.">
      <FilterBar isSet={isSet} onClear={clear}>
        <FilterSelect
          label="What was changed"
          value={values.action}
          options={SUBJECTS}
          onChange={(next) => change({ action: next })}
        />
        <FilterSelect
          label="Who"
          value={values.user}
          options={[{ value: "", label: "Everybody" }, ...people]}
          onChange={(user) => change({ user })}
        />
        <FilterSelect
          label="When"
          value={values.days}
          options={PERIODS}
          onChange={(days) => change({ days })}
        />
      </FilterBar>
      {query.isPending && <LoadingRows />}
      {query.error && query.data === undefined && (
        <Refused error={query.error} onRetry={() => void query.refetch()} />
      )}
      {query.data && <Entries entries={itemsOf(query.data)} />}
      <LoadMore query={query} noun="entries" />
    </Page>
  );
}

function Entries({ entries }: { entries: Entry[] }) {
  if (entries.length === 0) return <Empty title="Nothing was changed" hint="Nothing fits these filters." />;
  return (
    <Card pad={false}>
      <Table label="Audit trail" head={["When", "Who", "What", "Changes"]} minWidth={720}>
        {entries.map((entry) => (
          <Tr key={entry.id}>
            <Td style={{ whiteSpace: "nowrap" }}>
              <Time at={entry.created_at} />
            </Td>
            <Td>
              <Text size="sm">{entry.user_email ?? "by a link, or on the server"}</Text>
              <Text size="xs" c="var(--quiet)">
                {[entry.token_name && `token ${entry.token_name}`, entry.address].filter(Boolean).join(" · ")}
              </Text>
            </Td>
            <Td>
              <Text size="sm">{actionInWords(entry.action)}</Text>
              <Target entry={entry} />
            </Td>
            <Td>
              <Stack gap={2}>
                {changesInWords(entry.changes as Record<string, unknown>).map((line) => (
                  <Text size="xs" key={line} style={{ overflowWrap: "anywhere" }}>
                    {line}
                  </Text>
                ))}
              </Stack>
            </Td>
          </Tr>
        ))}
      </Table>
    </Card>
  );
}

function Target({ entry }: { entry: Entry }) {
  const name = entry.target_name ?? entry.target_id;
  // The id of a session says nothing to people.
  if (!name || entry.target_type === "session") return null;
  const page = PAGES[entry.target_type ?? ""];
  const gone = entry.action.endsWith(".deleted");
  if (page === undefined || gone || !entry.target_id) {
    return (
      <Text size="xs" c="var(--quiet)" style={{ overflowWrap: "anywhere" }}>
        {name}
      </Text>
    );
  }
  return (
    <Anchor
      component={Link}
      href={`${page}/${entry.target_id}`}
      size="xs"
      style={{ overflowWrap: "anywhere" }}
    >
      {name}
    </Anchor>
  );
}
