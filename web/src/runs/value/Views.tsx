/** The views of a value: as a table, as a list of fields, as JSON; with a search. The chosen view is remembered. */
import {
  Button,
  CloseButton,
  SegmentedControl,
  Select,
  Skeleton,
  Stack,
  Text,
  TextInput,
} from "@mantine/core";
import { useLocalStorage } from "@mantine/hooks";
import { IconSearch } from "@tabler/icons-react";
import { Suspense, useDeferredValue, useMemo, useState } from "react";
import { pathText } from "@/forms/expression/scope";
import { count, size } from "@/ui/format";
import { lazily } from "@/ui/lazily";
import { textOf } from "../values";
import { isObject, type Path } from "./kinds";
import { listsIn, valueIn } from "./table";
import { ValueFields } from "./ValueFields";
import { ValueTable } from "./ValueTable";
import classes from "./value.module.css";

const ValueJson = lazily(() => import("./ValueJson"));

type View = "table" | "schema" | "json";

/** Characters of JSON or text; longer ones are shown on request only. */
const SHOWN_AT_ONCE = 2_000_000;

/** Return the view for a value: the user's choice, else the table for a list of objects and JSON for other values. */
function useView(value: unknown): [View, (view: View) => void] {
  const [chosen, choose] = useLocalStorage<View | null>({
    key: "headrace.view",
    defaultValue: null,
    getInitialValueInEffect: false,
  });
  const usual = Array.isArray(value) && value.some(isObject) ? "table" : "json";
  return [chosen ?? usual, choose];
}

/** Return true if there is more than one view of the value. */
export function hasViews(value: unknown): boolean {
  return Array.isArray(value) || (isObject(value) && Object.keys(value).length > 0);
}

export function Views({ title, value }: { title: string; value: unknown }) {
  const [view, setView] = useView(value);
  const [text, setText] = useState("");
  const query = useDeferredValue(text.trim());
  const lists = useMemo(() => listsIn(value), [value]);
  const [wanted, setWanted] = useState<string | null>(null);
  const rows = lists.find((one) => pathText(["value", ...one.path]) === wanted)?.path ?? NO_PATH;
  if (!hasViews(value)) return <Json title={title} value={value} query="" />;
  return (
    <>
      <div className={classes.bar}>
        <SegmentedControl
          size="xs"
          aria-label={`View of ${title.toLowerCase()}`}
          value={view}
          onChange={(next) => setView(next as View)}
          data={[
            { value: "table", label: "Table" },
            { value: "schema", label: "Schema" },
            { value: "json", label: "JSON" },
          ]}
        />
        {view === "table" && lists.length > 0 && (
          <Select
            className={classes.list}
            size="xs"
            aria-label="Rows of the table"
            data={[
              { value: "", label: "The whole object" },
              ...lists.map((one) => ({
                value: pathText(["value", ...one.path]),
                label: `${one.path.join(".")} (${count(one.items)})`,
              })),
            ]}
            value={wanted ?? ""}
            allowDeselect={false}
            onChange={setWanted}
            comboboxProps={{ shadow: "md" }}
          />
        )}
        <TextInput
          className={classes.search}
          size="xs"
          type="search"
          aria-label={`Search in ${title.toLowerCase()}`}
          placeholder="Search"
          maxLength={200}
          leftSection={<IconSearch size={14} aria-hidden />}
          rightSection={
            text !== "" && <CloseButton size="xs" aria-label="Clear the search" onClick={() => setText("")} />
          }
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
        />
      </div>
      {view === "table" ? (
        <Body>
          <ValueTable
            key={rows.join(".")}
            title={title}
            value={valueIn(value, rows)}
            path={rows}
            query={query}
          />
        </Body>
      ) : view === "schema" ? (
        <Body>
          <ValueFields title={title} value={value} query={query} />
        </Body>
      ) : (
        <Json title={title} value={value} query={query} />
      )}
    </>
  );
}

const NO_PATH: Path = [];

function Body({ children }: { children: React.ReactNode }) {
  return <div className={classes.body}>{children}</div>;
}

function Json({ title, value, query }: { title: string; value: unknown; query: string }) {
  const [open, setOpen] = useState(false);
  const { text, language } = useMemo(() => textOf(value), [value]);
  return (
    <div className={classes.body} data-scrolls>
      {text.length > SHOWN_AT_ONCE && !open ? (
        <Stack p="sm" align="flex-start" gap="xs">
          <Text size="sm">Size: {size(text.length)}</Text>
          <Button size="xs" variant="default" onClick={() => setOpen(true)}>
            Show
          </Button>
        </Stack>
      ) : (
        <Suspense fallback={<Skeleton height={60} />}>
          <ValueJson title={title} text={text} language={language} query={query} />
        </Suspense>
      )}
    </div>
  );
}
