/** The full-screen editor of an expression: data, functions, and the result for each of the last items. */

import { linter } from "@codemirror/lint";
import type { EditorView } from "@codemirror/view";
import { Loader, Text, TextInput, UnstyledButton } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { IconSearch } from "@tabler/icons-react";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useId, useMemo, useRef, useState } from "react";
import { DocsLink } from "@/ui/Page";
import { Quiet } from "@/ui/Quiet";
import { messageOf } from "@/ui/states";
import { type ActiveEditor, ActiveProvider, useForm } from "../context";
import { Part, Screen } from "../screen/Screen";
import classes from "../screen/screen.module.css";
import { DataPicker } from "./DataPicker";
import Editor, { insertPath } from "./Editor";
import { type Documented, findFunctions, insertionOfFunction, placeOf } from "./functions";

import { type Results, resultsOf, written } from "./Preview";
import { type Path, pathIn, type Scope } from "./scope";

const PAUSE = 400;
const ITEMS = 20;

interface ExpressionScreenProps {
  label: string;
  value: string;
  onChange: (text: string) => void;
  scope: Scope;
  onClose: () => void;
}

function insert(view: EditorView, text: string, cursor: number): void {
  const { from, to } = view.state.selection.main;
  view.dispatch({
    changes: { from, to, insert: text },
    selection: { anchor: from + cursor },
    userEvent: "input",
  });
  view.focus();
}

function useResults(text: string) {
  const { expressions } = useForm();
  const [template] = useDebouncedValue(text, PAUSE);
  const query = useQuery({
    queryKey: ["results", expressions?.flowId, expressions?.nodeId, expressions?.runId, template],
    queryFn: () => (expressions === null ? Promise.reject(new Error()) : resultsOf(expressions, template, ITEMS)),
    enabled: expressions !== null,
    placeholderData: keepPreviousData,
    staleTime: 5_000,
    retry: false,
  });
  return { ...query, isBehind: template !== text || query.isPlaceholderData, template };
}

export default function ExpressionScreen({ label, value, onChange, scope, onClose }: ExpressionScreenProps) {
  const { expressions } = useForm();
  const id = useId();
  const view = useRef<EditorView | null>(null);
  const results = useResults(value);
  const fault = results.isBehind ? undefined : results.data?.items?.[0]?.error;
  const markers = useMemo(
    () =>
      linter(
        (current) =>
          fault == null
            ? []
            : [
                {
                  ...placeOf(current.state.doc.toString(), fault),
                  severity: "error" as const,
                  message: fault,
                },
              ],
        { delay: 0 },
      ),
    [fault],
  );
  const active = useMemo<ActiveEditor>(() => {
    function insertPicked(path: Path) {
      if (view.current !== null) insertPath(view.current, pathIn(scope, path));
    }
    return { id, activate: () => {}, insert: insertPicked };
  }, [id, scope]);
  function insertFunction(one: Documented) {
    const made = view.current;
    if (made === null) return;
    const { insert: text, cursor } = insertionOfFunction(
      made.state.doc.toString(),
      made.state.selection.main.head,
      one,
    );
    insert(made, text, cursor);
  }
  if (expressions === null) return null;
  return (
    <Screen
      title={label}
      onClose={onClose}
      controls={
        <DocsLink page="expressions" label="Help on expressions">
          Help
        </DocsLink>
      }
    >
      <ActiveProvider value={active}>
        <div className={classes.expression}>
          <Part title="Data">
            <DataPicker scope={scope} />
          </Part>
          <div className={classes.editing}>
            <Editor
              id={id}
              value={value}
              onChange={onChange}
              label={`${label}, full screen`}
              multiline
              placeholder="{{ … }}"
              scope={scope}
              load={expressions.load}
              onFocus={() => {}}
              extensions={markers}
              onReady={(made) => {
                view.current = made;
              }}
              autoFocus
            />
            <Part title="Result for each of the last items">
              <Outcome results={results} />
            </Part>
          </div>
          <Functions onChoose={insertFunction} />
        </div>
      </ActiveProvider>
    </Screen>
  );
}

function Functions({ onChoose }: { onChoose: (one: Documented) => void }) {
  const [search, setSearch] = useState("");
  const found = useMemo(() => findFunctions(search), [search]);
  return (
    <Part title="Functions">
      <TextInput
        size="xs"
        mb={6}
        aria-label="Search functions"
        placeholder="Search, such as date or list"
        leftSection={<IconSearch size={14} aria-hidden />}
        value={search}
        onChange={(event) => setSearch(event.currentTarget.value)}
      />
      {found.length === 0 && (
        <Quiet size="xs" role="status">
          No function matches “{search}”
        </Quiet>
      )}
      {found.map((one) => (
        <UnstyledButton
          key={`${one.kind} ${one.of} ${one.name}`}
          className={classes.function}
          // Keep the cursor in the editor.
          onMouseDown={(event) => event.preventDefault()}
          onClick={() => onChoose(one)}
        >
          <Text span size="xs" ff="monospace" fw={600}>
            {one.signature}
          </Text>
          {one.of !== "" && (
            <Quiet span size="xs">
              {" "}
              for {one.of}
            </Quiet>
          )}
          <Text span size="xs" display="block">
            {one.does}
          </Text>
          <span className={classes.example}>
            {one.example} → {one.result}
          </span>
        </UnstyledButton>
      ))}
    </Part>
  );
}

type Each = NonNullable<Results["each"]>[number];

function nameOf(one: Each, at: number): string {
  if (one.index !== null && one.index !== undefined) return `Item ${one.index}`;
  return at === 0 ? "Last run" : `${at + 1}. last run`;
}

function Outcome({ results }: { results: ReturnType<typeof useResults> }) {
  const { data, error, isBehind } = results;
  if (error !== null) {
    return (
      <Text size="xs" c="var(--failed)" role="status">
        {messageOf(error)}
      </Text>
    );
  }
  if (data === undefined) return <Loader size="xs" aria-label="Evaluating" />;
  const first = data.items?.[0];
  const each = data.each ?? [];
  return (
    <div role="status" aria-busy={isBehind} style={{ opacity: isBehind ? 0.6 : 1 }}>
      {each.length === 0 && (
        <Text size="xs" c={first?.ok ? undefined : "var(--failed)"} ff="monospace">
          {first?.ok ? written(first.value) : first?.error}
        </Text>
      )}
      {each.length > 0 && (
        <table className={classes.results}>
          <tbody>
            {each.map((one, at) => (
              <tr key={one.run_id ?? one.index}>
                <th scope="row">{nameOf(one, at)}</th>
                <td style={one.ok ? undefined : { color: "var(--failed)" }}>
                  {one.ok ? `${written(one.value)}${one.truncated ? "…" : ""}` : one.error}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </div>
  );
}
