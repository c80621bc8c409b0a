/** The menu of saved filters of a list: pick, save, rename, replace and delete. They belong to the user. */
import { Button, Menu, Text } from "@mantine/core";
import { IconBookmark, IconBookmarkPlus, IconCheck, IconCursorText, IconReplace, IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import { api, type Schemas, server } from "@/api/client";
import { useReload } from "@/api/queries";
import { NameDialog } from "./FormDialog";
import { filtersOf, filtersToSave, isShown, type QueryState } from "./listState";
import { notify } from "./notify";

type SavedFilter = Schemas["SavedFilterOut"] & { query: Record<string, string> };
type Asking = "save" | "rename" | null;

interface SavedFiltersProps<Name extends string> {
  page: SavedFilter["page"];
  state: QueryState<Name>;
  defaults: Record<Name, string>;
}

const ICON = 16;
const LONGEST_NAME = 100;

function useSavedFilters(page: SavedFilter["page"]) {
  const { data } = api.useQuery("get", "/api/saved-filters", { params: { query: { page } } });
  const refresh = useReload("/api/saved-filters");
  const at = (id: string) => ({ params: { path: { filter_id: id } } });
  return {
    items: (data?.items ?? []) as SavedFilter[],
    async save(name: string, query: Record<string, string>) {
      const { data: made } = await server.POST("/api/saved-filters", { body: { page, name, query } });
      await refresh();
      return made?.id ?? null;
    },
    async change(id: string, body: Schemas["SavedFilterChange"]) {
      await server.PATCH("/api/saved-filters/{filter_id}", { ...at(id), body });
      await refresh();
    },
    async remove(id: string) {
      await server.DELETE("/api/saved-filters/{filter_id}", at(id));
      await refresh();
    },
  };
}

export function SavedFilters<Name extends string>({ page, state, defaults }: SavedFiltersProps<Name>) {
  const saved = useSavedFilters(page);
  const [asking, setAsking] = useState<Asking>(null);
  // The filter that was picked last; it may have been changed on the page since.
  const [pickedId, setPickedId] = useState<string | null>(null);
  const shown = saved.items.find((one) => isShown(one.query, state.values, defaults));
  const picked = shown ?? saved.items.find((one) => one.id === pickedId && state.isSet);

  function pick(one: SavedFilter) {
    setPickedId(one.id);
    state.change(filtersOf(one.query, defaults));
  }
  async function attempt(what: string, action: () => Promise<unknown>) {
    try {
      await action();
    } catch (error) {
      notify.refused(`The filter could not be ${what}`, error);
    }
  }
  const query = filtersToSave(state.values, defaults);

  return (
    <>
      <Menu position="bottom-start" shadow="md" width={260}>
        <Menu.Target>
          <Button
            variant="default"
            leftSection={<IconBookmark size={ICON} aria-hidden />}
            maw={260}
            aria-label={shown === undefined ? "Saved filters" : `Saved filters: ${shown.name}`}
          >
            <Text inherit truncate>
              {shown?.name ?? "Saved filters"}
            </Text>
          </Button>
        </Menu.Target>
        <Menu.Dropdown mah={420} style={{ overflowY: "auto" }}>
          {saved.items.length === 0 && <Menu.Label>Set filters, then save them here under a name.</Menu.Label>}
          {saved.items.map((one) => (
            <Menu.Item
              key={one.id}
              onClick={() => pick(one)}
              aria-current={one === shown || undefined}
              rightSection={one === shown && <IconCheck size={ICON} aria-hidden />}
            >
              <Text inherit truncate>
                {one.name}
              </Text>
            </Menu.Item>
          ))}
          <Menu.Divider />
          <Menu.Item
            disabled={!state.isSet || shown !== undefined}
            leftSection={<IconBookmarkPlus size={ICON} aria-hidden />}
            onClick={() => setAsking("save")}
          >
            Save these filters…
          </Menu.Item>
          {picked !== undefined && (
            <PickedItems
              picked={picked}
              isChanged={shown === undefined}
              onRename={() => setAsking("rename")}
              onReplace={() => void attempt("changed", () => saved.change(picked.id, { query }))}
              onDelete={() => void attempt("deleted", () => saved.remove(picked.id))}
            />
          )}
        </Menu.Dropdown>
      </Menu>
      <NameDialog
        opened={asking === "save"}
        onClose={() => setAsking(null)}
        title="Save filters"
        action="Save"
        maxLength={LONGEST_NAME}
        onName={async (name) => setPickedId(await saved.save(name, query))}
      />
      <NameDialog
        opened={asking === "rename" && picked !== undefined}
        onClose={() => setAsking(null)}
        title="Rename saved filter"
        action="Rename"
        initial={picked?.name}
        maxLength={LONGEST_NAME}
        onName={async (name) => picked && saved.change(picked.id, { name })}
      />
    </>
  );
}

interface PickedItemsProps {
  picked: SavedFilter;
  /** True if the page now has other filters than the picked one. */
  isChanged: boolean;
  onRename: () => void;
  onReplace: () => void;
  onDelete: () => void;
}

function PickedItems({ picked, isChanged, onRename, onReplace, onDelete }: PickedItemsProps) {
  return (
    <>
      {isChanged && (
        <Menu.Item leftSection={<IconReplace size={ICON} aria-hidden />} onClick={onReplace}>
          Replace “{picked.name}”
        </Menu.Item>
      )}
      <Menu.Item leftSection={<IconCursorText size={ICON} aria-hidden />} onClick={onRename}>
        Rename “{picked.name}”
      </Menu.Item>
      <Menu.Item c="var(--failed)" leftSection={<IconTrash size={ICON} aria-hidden />} onClick={onDelete}>
        Delete “{picked.name}”
      </Menu.Item>
    </>
  );
}
