/** The full-screen editor of code: run button, output and data beside it, errors at their line. */

import { autocompletion, type CompletionContext } from "@codemirror/autocomplete";
import { jsonParseLinter } from "@codemirror/lang-json";
import { localCompletionSource } from "@codemirror/lang-python";
import { type Diagnostic, linter, lintGutter } from "@codemirror/lint";
import type { Extension, Text as Lines } from "@codemirror/state";
import { Prec } from "@codemirror/state";
import { EditorView, keymap } from "@codemirror/view";
import { Loader, Text } from "@mantine/core";
import { IconPlayerPlay } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useId, useMemo, useRef } from "react";
import { knownValue, stepOf, useLastRun } from "@/api/lastRun";
import { useRunLogs } from "@/runs/useRun";
import { Button } from "@/ui/Button";
import CodeMirror, { type Language } from "@/ui/code/CodeMirror";
import { Quiet } from "@/ui/Quiet";
import { type ActiveEditor, ActiveProvider, type Expressions, type NodeRun, useForm } from "../context";
import { DataPicker } from "../expression/DataPicker";
import { written } from "../expression/Preview";
import { type Path, pathText, type Scope } from "../expression/scope";
import { Part, Screen } from "../screen/Screen";
import classes from "../screen/screen.module.css";
import { completePython, faultOf, pythonPath } from "./python";

interface CodeScreenProps {
  label: string;
  value: string;
  onChange: (text: string) => void;
  language: Language;
  /** The names that the code can read, as the catalog says. */
  names: readonly string[];
  problems: readonly string[];
  onClose: () => void;
}

interface Latest {
  scope: Scope | null;
  load: Expressions["load"] | null;
  names: readonly string[];
  run: NodeRun | null;
}

function diagnosticsOf(problems: readonly string[], doc: Lines): Diagnostic[] {
  return problems.flatMap((problem) => {
    const fault = faultOf(problem);
    if (fault === undefined) return [];
    const line = doc.line(Math.min(Math.max(fault.line, 1), doc.lines));
    return [{ from: line.from, to: line.to, severity: "error" as const, message: fault.text }];
  });
}

/** A step whose output is not known yet is loaded as soon as it is named. */
async function offer(context: CompletionContext, { scope, load, names }: Latest) {
  if (scope === null) return null;
  const before = context.state.sliceDoc(Math.max(0, context.pos - 2_000), context.pos);
  const named = /steps\[["']([A-Za-z_]\w*)["']\][^\n]*$/.exec(before)?.[1];
  let known = scope;
  if (named !== undefined && load !== null) {
    const output = await load(named);
    known = { ...scope, steps: scope.steps.map((one) => (one.id === named ? { ...one, output } : one)) };
  }
  const found = completePython(before, names, known);
  if (found === null || context.aborted) return null;
  const start = context.pos - before.length + found.from;
  return {
    from: start,
    options: found.options.map(({ label, insert, detail, type, boost }) => ({
      label,
      detail,
      type,
      boost,
      apply: (view: EditorView, _: unknown, from: number, to: number) => {
        // Closing brackets are typed by themselves.
        const rest = view.state.sliceDoc(to, to + 2);
        const more = /^["']\]$/.test(insert.slice(-2)) ? (rest === insert.slice(-2) ? 2 : rest[0] === "]" ? 1 : 0) : 0;
        view.dispatch({
          changes: { from, to: to + more, insert },
          selection: { anchor: from + insert.length - (insert.endsWith("()") ? 1 : 0) },
          userEvent: "input.complete",
        });
      },
    })),
  };
}

/** The extensions of the editor that do not change while the user types. */
function fixedExtensions(
  language: Language,
  latest: { current: Latest },
  view: { current: EditorView | null },
): Extension {
  return [
    lintGutter(),
    EditorView.updateListener.of((update) => {
      view.current = update.view;
    }),
    Prec.high(
      keymap.of([
        {
          key: "Mod-Enter",
          run: () => {
            latest.current.run?.start();
            return latest.current.run !== null;
          },
        },
      ]),
    ),
    language === "json" ? linter(jsonParseLinter()) : [],
    language === "python"
      ? autocompletion({ override: [(context) => offer(context, latest.current), localCompletionSource] })
      : [],
  ];
}

export default function CodeScreen(props: CodeScreenProps) {
  const { label, value, onChange, language, names, problems, onClose } = props;
  const { expressions, readOnly, run } = useForm();
  const id = useId();
  const view = useRef<EditorView | null>(null);
  const latest = useRef<Latest>({ scope: null, load: null, names, run: null });
  latest.current = { scope: expressions?.scope ?? null, load: expressions?.load ?? null, names, run };
  const told = problems.join("\n");
  const extensions = useMemo(
    () => [
      fixedExtensions(language, latest, view),
      linter((current) => diagnosticsOf(told.split("\n"), current.state.doc), { delay: 0 }),
    ],
    [language, told],
  );
  // A new list of problems marks its lines at once, without a change of the text.
  const active = useMemo<ActiveEditor>(() => {
    function insert(path: Path) {
      const made = view.current;
      if (made === null) return;
      const text = language === "python" ? pythonPath(path) : pathText(path);
      made.dispatch(made.state.replaceSelection(text));
      made.focus();
    }
    return { id, activate: () => {}, insert };
  }, [id, language]);
  return (
    <Screen title={label} onClose={onClose} controls={run !== null && !readOnly && <RunButton run={run} />}>
      <ActiveProvider value={active}>
        <div className={classes.code}>
          <div className={classes.editing}>
            <div className={classes.tall}>
              <CodeMirror
                value={value}
                onChange={onChange}
                language={language}
                label={`${label}, full screen`}
                readOnly={readOnly}
                maxHeight="100%"
                extensions={extensions}
              />
            </div>
            <Faults problems={problems} />
          </div>
          <div className={classes.editing}>
            {expressions !== null && (
              <Part title="Output">
                {run?.problem != null && <Problem>{run.problem}</Problem>}
                <Output expressions={expressions} busy={run?.busy ?? false} />
              </Part>
            )}
            {expressions !== null && names.length > 0 && (
              <Part title="Data">
                <DataPicker scope={{ ...expressions.scope, perItem: false }} />
              </Part>
            )}
          </div>
        </div>
      </ActiveProvider>
    </Screen>
  );
}

function RunButton({ run }: { run: NodeRun }) {
  return (
    <Button size="sm" icon={IconPlayerPlay} loading={run.busy} onClick={run.start}>
      {run.label}
    </Button>
  );
}

function Faults({ problems }: { problems: readonly string[] }) {
  if (problems.length === 0) return null;
  return (
    <div role="status">
      {problems.map((problem) => (
        <Text key={problem} size="xs" c="var(--failed)">
          {problem}
        </Text>
      ))}
    </div>
  );
}

function Problem({ children }: { children: string }) {
  return (
    <Text size="xs" c="var(--failed)" ff="monospace" role="alert" style={WRAPPED}>
      {children}
    </Text>
  );
}

const WRAPPED = { whiteSpace: "pre-wrap", overflowWrap: "anywhere" } as const;

/** What the node printed, and its output or error in the run that is shown, which is the one just started here. */
function Output({ expressions, busy }: { expressions: Expressions; busy: boolean }) {
  const lastRun = useLastRun(expressions.flowId, expressions.runId);
  const runId = lastRun.run?.id;
  // A new query once the run has ended: while it was active, the node had no output yet.
  const { data: step } = useQuery({
    queryKey: ["code-output", runId, expressions.nodeId, busy, lastRun.run?.finished_at],
    queryFn: () => stepOf(runId ?? "", expressions.nodeId),
    enabled: runId !== undefined && !busy,
  });
  const log = useRunLogs(busy ? undefined : lastRun.run);
  const printed = log.data?.items.filter((entry) => entry.node_id === expressions.nodeId && entry.level === "info");
  if (busy) return <Loader size="xs" aria-label="Running" />;
  if (step === undefined || step === null) {
    return <Quiet size="xs">Not executed in this run.</Quiet>;
  }
  const output = knownValue(step.output);
  return (
    <>
      {printed !== undefined && printed.length > 0 && (
        <Quiet size="xs" ff="monospace" mb={6} style={WRAPPED} aria-label="Printed" role="group">
          {printed.map((entry) => entry.message).join("\n")}
        </Quiet>
      )}
      {step.error_text ? (
        <Problem>{step.error_text}</Problem>
      ) : (
        <Text size="xs" ff="monospace" role="status" style={WRAPPED}>
          {output === undefined ? "The output is too large to show here. Open it in the run." : written(output)}
        </Text>
      )}
    </>
  );
}
