/** The audit log: changes, with user and time. */
import { Button, Select } from "@mantine/core";
import { IconX } from "@tabler/icons-react";
import { useMemo } from "react";
import { api, type Schemas } from "@/api/client";
import { useSession } from "@/app/session";
import { Between } from "@/ui/Between";
import { FilterBar, FilterSelect } from "@/ui/FilterBar";
import { instant } from "@/ui/format";
import { itemsOf, LoadMore, PAGED } from "@/ui/LoadMore";
import { Page } from "@/ui/Page";
import { Empty, LoadingRows, Refused } from "@/ui/states";
import { type QueryState, useQueryState } from "@/ui/useQueryState";
import { AuditEntries } from "./AuditEntries";
import { type Action, actionInWords, type Entry, SUBJECTS } from "./audit";

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
      {query.error && query.data === undefined && (
        <Refused error={query.error} onRetry={() => void query.refetch()} />
      )}
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
        allowDeselect={false}
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
