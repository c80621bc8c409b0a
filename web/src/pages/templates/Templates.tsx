import { Chip, Group, SimpleGrid, Switch, VisuallyHidden } from "@mantine/core";
import { IconTemplate } from "@tabler/icons-react";
import { useMemo } from "react";
import { useCatalogue } from "@/api/catalogue";
import { FilterBar } from "@/ui/FilterBar";
import { useQueryState } from "@/ui/listState";
import { Page } from "@/ui/Page";
import { SearchInput } from "@/ui/SearchInput";
import { Empty, LoadingRows, Refused } from "@/ui/states";
import { TemplateCard, TemplateDialog } from "./TemplateCard";

import { categoriesOf, categoryLabel, matching, type Template, useTemplates } from "./templates";

const FILTERS = { search: "", category: "", ready: "" };
const OPEN = { template: "" };

export default function Templates() {
  const { data, error, refetch } = useTemplates();
  return (
    <Page title="Templates" about="Ready-made flows to adapt to your needs." docs="definition">
      {data ? (
        <Gallery templates={data.items} />
      ) : error ? (
        <Refused error={error} onRetry={() => void refetch()} />
      ) : (
        <LoadingRows />
      )}
    </Page>
  );
}

function Gallery({ templates }: { templates: Template[] }) {
  const { values, change, isSet, clear } = useQueryState(FILTERS);
  const open = useQueryState(OPEN);
  const { catalogue } = useCatalogue();
  const categories = useMemo(() => categoriesOf(templates), [templates]);
  const found = useMemo(() => matching(templates, { ...values, ready: values.ready !== "" }), [templates, values]);
  return (
    <>
      <FilterBar isSet={isSet} onClear={clear}>
        <SearchInput
          label="Search templates"
          value={values.search}
          onChange={(search) => change({ search }, { replace: true })}
        />
        <Switch
          label="Ready to run"
          checked={values.ready !== ""}
          onChange={(event) => change({ ready: event.currentTarget.checked ? "yes" : "" })}
        />
      </FilterBar>
      <Chip.Group value={values.category} onChange={(category) => change({ category })}>
        <Group gap={6} role="radiogroup" aria-label="Category">
          <Chip value="" variant="light">
            All {templates.length}
          </Chip>
          {categories.map(({ category, count }) => (
            <Chip key={category} value={category} variant="light">
              {categoryLabel(category)} {count}
            </Chip>
          ))}
        </Group>
      </Chip.Group>
      <VisuallyHidden role="status">{found.length} templates</VisuallyHidden>
      {found.length === 0 ? (
        <Empty
          icon={<IconTemplate size={40} color="var(--quiet)" aria-hidden />}
          title="No matching templates"
          hint="Try other words or another category."
        />
      ) : (
        <SimpleGrid cols={{ base: 1, sm: 2, lg: 3 }} spacing="sm">
          {found.map((template) => (
            <TemplateCard
              key={template.id}
              template={template}
              catalogue={catalogue}
              onOpen={() => open.change({ template: template.id })}
            />
          ))}
        </SimpleGrid>
      )}
      <TemplateDialog
        template={templates.find((template) => template.id === open.values.template)}
        onClose={() => open.clear()}
      />
    </>
  );
}
