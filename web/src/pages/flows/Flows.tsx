import { ActionIcon, Tooltip } from "@mantine/core";
import { IconFileImport, IconPlus, IconStar, IconStarFilled } from "@tabler/icons-react";
import { useState } from "react";
import { useCatalogue } from "@/api/catalogue";
import { useSession } from "@/app/session";
import { Button } from "@/ui/Button";
import { FilterBar, FilterSelect } from "@/ui/FilterBar";
import { type QueryState, useQueryState } from "@/ui/listState";
import { Page } from "@/ui/Page";
import { SavedFilters } from "@/ui/SavedFilters";
import { SearchInput } from "@/ui/SearchInput";
import { FlowList } from "./FlowList";
import { FolderTrail } from "./Folders";
import { EVERYTHING, FILTERS, type Filters, PLACE, tagsOf } from "./filters";
import { useNewFlow, useTags } from "./flows";
import classes from "./flows.module.css";
import { ImportDialog } from "./ImportDialog";
import { useFileDrop } from "./useFileDrop";

const STATUSES = [
  { value: "draft,active", label: "Active and inactive" },
  { value: "active", label: "Active" },
  { value: "draft", label: "Inactive" },
  { value: "archived", label: "Archived" },
  { value: "", label: "Including archived" },
];
const RESULTS = [
  { value: "", label: "Any result" },
  { value: "failing", label: "Failing" },
  { value: "well", label: "Not failing" },
];
const SORTS = [
  { value: "newest", label: "Newest first" },
  { value: "last_run", label: "Last run first" },
  { value: "updated", label: "Last changed first" },
  { value: "name", label: "By name" },
];
/** Return the options of the filter by tag. Several tags, chosen in the list, are one more option. */
function useTagOptions(chosen: string) {
  const tags = useTags().map(({ tag }) => ({ value: tag, label: tag }));
  const isOther = chosen !== "" && tags.every(({ value }) => value !== chosen);
  const other = isOther ? [{ value: chosen, label: tagsOf(chosen).join(" + ") }] : [];
  return [{ value: "", label: "Any tag" }, ...other, ...tags];
}

/** The filters above the list of flows. */
function FlowFilters({ filters }: { filters: QueryState<keyof Filters> }) {
  const { values, change, isSet, clear } = filters;
  const { catalogue } = useCatalogue();
  const tags = useTagOptions(values.tag);
  const everything = useQueryState<keyof typeof EVERYTHING>(EVERYTHING);
  const isFavourite = values.favourite !== "";
  const triggers = catalogue?.types.filter((type) => type.trigger) ?? [];
  return (
    <FilterBar isSet={isSet} onClear={clear}>
      <SearchInput
        label="Search flows"
        width={150}
        value={values.search}
        onChange={(search) => change({ search }, { replace: true })}
      />
      <FilterSelect
        label="Status"
        value={values.status}
        onChange={(status) => change({ status })}
        options={STATUSES}
        width={175}
      />
      <FilterSelect
        label="Trigger"
        value={values.trigger}
        onChange={(trigger) => change({ trigger })}
        options={[
          { value: "", label: "Any trigger" },
          ...triggers.map(({ type, name }) => ({ value: type, label: name })),
        ]}
        width={140}
      />
      <FilterSelect
        label="Last result"
        value={values.result}
        onChange={(result) => change({ result })}
        options={RESULTS}
        width={120}
      />
      {tags.length > 1 && (
        <FilterSelect
          label="Tag"
          value={values.tag}
          onChange={(tag) => change({ tag })}
          options={tags}
          width={110}
          searchable
        />
      )}
      <Tooltip label="Favourites">
        <ActionIcon
          variant="default"
          size={36}
          aria-label="Favourites"
          aria-pressed={isFavourite}
          onClick={() => change({ favourite: isFavourite ? "" : "yes" })}
        >
          {isFavourite ? (
            <IconStarFilled size={16} color="var(--waiting)" aria-hidden />
          ) : (
            <IconStar size={16} aria-hidden />
          )}
        </ActionIcon>
      </Tooltip>
      <FilterSelect
        label="Order"
        value={values.sort}
        onChange={(sort) => change({ sort })}
        options={SORTS}
        width={165}
      />
      <SavedFilters page="flows" state={everything} defaults={EVERYTHING} />
    </FilterBar>
  );
}

const NEW = { new: "" };

export default function Flows() {
  const { may } = useSession();
  const begin = useNewFlow();
  const opened = useQueryState(NEW);
  const [file, setFile] = useState<File>();
  const filters = useQueryState<keyof Filters>(FILTERS);
  const { folder } = useQueryState(PLACE).values;
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
            <Button variant="default" icon={IconFileImport} onClick={() => opened.change({ new: "import" })}>
              Import
            </Button>
            <Button icon={IconPlus} onClick={() => void begin(folder)}>
              New flow
            </Button>
          </>
        )
      }
    >
      <FlowFilters filters={filters} />
      {folder !== "" && <FolderTrail folder={folder} />}
      <FlowList key={folder} filters={filters} folder={folder} />
      {isOver && <div className={classes.drop}>Drop a file to import it</div>}
      <ImportDialog
        opened={opened.values.new === "import" && mayEdit}
        file={file}
        folder={folder}
        onClose={() => {
          setFile(undefined);
          close();
        }}
      />
    </Page>
  );
}
