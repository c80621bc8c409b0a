import { Chip, Group, SimpleGrid, Switch, VisuallyHidden } from "@mantine/core";
import { IconTemplate } from "@tabler/icons-react";
import { useMemo } from "react";
import { useCatalogue } from "@/api/catalogue";
import { FilterBar, FilterSelect } from "@/ui/FilterBar";
import { useQueryState } from "@/ui/listState";
import { Page } from "@/ui/Page";
import { SearchInput } from "@/ui/SearchInput";
import { Empty, LoadingRows, Refused } from "@/ui/states";
import { TemplateCard, TemplateDialog } from "./TemplateCard";

import { categoriesOf, categoryLabel, matching, servicesOf, type Template, useTemplates } from "./templates";

const FILTERS = { search: "", category: "", service: "", ready: "" };
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
  const services = useMemo(() => servicesOf(templates, catalogue), [templates, catalogue]);
  const found = useMemo(
    () => matching(templates, { ...values, ready: values.ready !== "" }, catalogue),
    [templates, values, catalogue],
  );
  return (
    <>
      <FilterBar isSet={isSet} onClear={clear}>
        <SearchInput
          label="Search templates"
          value={values.search}
          onChange={(search) => change({ search }, { replace: true })}
        />
        <FilterSelect
          label="Service"
          value={values.service}
          options={[
            { value: "", label: "Any service" },
            ...services.map(({ type, name }) => ({ value: type, label: name })),
          ]}
          onChange={(service) => change({ service })}
          searchable
          width={200}
        />
        <Switch
          label="Ready to run"
          checked={values.ready !== ""}
          onChange={(event) => change({ ready: event.currentTarget.checked ? "yes" : "" })}
        />
      </FilterBar>
      <Chip.Group value={values.category} onChange={(category) => change({ category })}>
        <Group gap={6} role="radiogroup" aria-label="Goal">
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
          hint="Try other words, another goal or another service."
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
