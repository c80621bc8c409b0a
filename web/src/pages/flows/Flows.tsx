import { Button, VisuallyHidden } from "@mantine/core";
import { IconFileImport, IconPlus, IconRoute } from "@tabler/icons-react";
import { useState } from "react";
import { Link, useLocation } from "wouter";
import { useCatalogue } from "@/api/catalogue";
import { useSession } from "@/app/session";
import { FilterBar, FilterSelect } from "@/ui/FilterBar";
import { count } from "@/ui/format";
import { itemsOf, LoadMore } from "@/ui/LoadMore";
import { Page } from "@/ui/Page";
import { SearchInput } from "@/ui/SearchInput";
import { Empty, LoadingRows, Refused } from "@/ui/states";
import { type QueryState, useQueryState } from "@/ui/useQueryState";
import { FlowRow } from "./FlowRow";
import { FILTERS, type Filters, useFlowActions, useFlows } from "./flows";
import classes from "./flows.module.css";
import { ImportDialog } from "./ImportDialog";
import { NameDialog } from "./NameDialog";
import { useFileDrop } from "./useFileDrop";

const STATUSES = [
  { value: "draft,active", label: "Active and inactive" },
  { value: "active", label: "Active" },
  { value: "draft", label: "Inactive" },
  { value: "archived", label: "Archived" },
  { value: "", label: "All, including archived" },
];
const RESULTS = [
  { value: "", label: "Any result" },
  { value: "failing", label: "Failing" },
  { value: "well", label: "Not failing" },
];
const SORTS = [
  { value: "newest", label: "Newest first" },
  { value: "last_run", label: "Recently run first" },
  { value: "updated", label: "Recently changed first" },
  { value: "name", label: "By name" },
];
const NEW = { new: "" };

export default function Flows() {
  const { may } = useSession();
  const [, go] = useLocation();
  const { create } = useFlowActions();
  const opened = useQueryState(NEW);
  const [file, setFile] = useState<File>();
  const filters = useQueryState<keyof Filters>(FILTERS);
  const mayEdit = may("editor");
  const isOver = useFileDrop(([dropped]) => {
    setFile(dropped);
    opened.change({ new: "import" });
  }, mayEdit);
  const close = () => opened.change({ new: "" }, { replace: true });

  return (
    <Page
      title="Flows"
      actions={
        mayEdit && (
          <>
            <Button
              variant="default"
              leftSection={<IconFileImport size={16} aria-hidden />}
              onClick={() => opened.change({ new: "import" })}
            >
              Import
            </Button>
            <Button
              leftSection={<IconPlus size={16} aria-hidden />}
              onClick={() => opened.change({ new: "flow" })}
            >
              New flow
            </Button>
          </>
        )
      }
    >
      <Filtering filters={filters} />
      <List filters={filters} />
      {isOver && <div className={classes.drop}>Drop a file to import it</div>}
      <ImportDialog
        opened={opened.values.new === "import" && mayEdit}
        file={file}
        onClose={() => {
          setFile(undefined);
          close();
        }}
      />
      <NameDialog
        opened={opened.values.new === "flow" && mayEdit}
        onClose={close}
        title="New flow"
        action="Create"
        onName={async (name) => {
          const flow = await create(name);
          // Replace the history entry: Back would open the dialog again.
          close();
          go(`/flows/${flow.id}`);
        }}
      />
    </Page>
  );
}

function Filtering({ filters }: { filters: QueryState<keyof Filters> }) {
  const { values, change, isSet, clear } = filters;
  const { catalogue } = useCatalogue();
  const triggers = catalogue?.types.filter((type) => type.trigger) ?? [];
  return (
    <FilterBar isSet={isSet} onClear={clear}>
      <SearchInput
        label="Search flows"
        value={values.search}
        onChange={(search) => change({ search }, { replace: true })}
      />
      <FilterSelect
        label="Status"
        value={values.status}
        onChange={(status) => change({ status })}
        options={STATUSES}
      />
      <FilterSelect
        label="Trigger"
        value={values.trigger}
        onChange={(trigger) => change({ trigger })}
        options={[
          { value: "", label: "Any trigger" },
          ...triggers.map(({ type, name }) => ({ value: type, label: name })),
        ]}
      />
      <FilterSelect
        label="Last result"
        value={values.result}
        onChange={(result) => change({ result })}
        options={RESULTS}
        width={140}
      />
      <FilterSelect label="Order" value={values.sort} onChange={(sort) => change({ sort })} options={SORTS} />
    </FilterBar>
  );
}

function List({ filters }: { filters: QueryState<keyof Filters> }) {
  const query = useFlows(filters.values);
  const { catalogue } = useCatalogue();
  if (query.data === undefined) {
    return query.error ? (
      <Refused error={query.error} onRetry={() => void query.refetch()} />
    ) : (
      <LoadingRows />
    );
  }
  const items = itemsOf(query.data);
  if (items.length === 0) return <Nothing isFiltered={filters.isSet} onClear={filters.clear} />;
  return (
    <>
      <VisuallyHidden role="status">
        {items.length === 1 ? "1 flow" : `${count(items.length)} flows`} shown
      </VisuallyHidden>
      <div>
        <div className={classes.head} aria-hidden>
          <span>Flow</span>
          <span>Last run</span>
          <span>Next run</span>
          <span>Active</span>
        </div>
        <ul className={classes.list}>
          {items.map((flow) => (
            <FlowRow key={flow.id} flow={flow} catalogue={catalogue} />
          ))}
        </ul>
      </div>
      <LoadMore query={query} noun="flows" />
    </>
  );
}

function Nothing({ isFiltered, onClear }: { isFiltered: boolean; onClear: () => void }) {
  const { may } = useSession();
  const icon = <IconRoute size={40} color="var(--quiet)" aria-hidden />;
  if (isFiltered) {
    return (
      <Empty
        icon={icon}
        title="No matching flows"
        hint="Try other words or filters."
        action={
          <Button variant="default" onClick={onClear}>
            Clear filters
          </Button>
        }
      />
    );
  }
  return (
    <Empty
      icon={icon}
      title="No flows yet"
      hint={
        may("editor")
          ? "Start from a template, or drop a file here to import a flow."
          : "Nobody has created a flow in this workspace yet."
      }
      action={
        <Button component={Link} href="/templates">
          Browse templates
        </Button>
      }
    />
  );
}
