import {
  Alert,
  Badge,
  Box,
  Group,
  Loader,
  NumberInput,
  ScrollArea,
  SegmentedControl,
  Select,
  Stack,
  Text,
} from "@mantine/core";
import { keepPreviousData } from "@tanstack/react-query";
import { type ReactNode, useMemo, useState } from "react";
import { useCatalogue } from "@/api/catalogue";
import { api, type Schemas } from "@/api/client";
import { Clamped } from "@/ui/Clamped";
import { count, duration, LOCALE, milliseconds } from "@/ui/format";
import { NodeIcon } from "@/ui/NodeIcon";
import { Quiet } from "@/ui/Quiet";
import { SplitPane } from "@/ui/SplitPane";
import { labelOf, StatusBadge } from "@/ui/StatusBadge";
import { Empty, Loading, Refused } from "@/ui/states";
import classes from "./panel.module.css";
import { branchesInWords, type NodeState, outcomeOfStep, type Step } from "./states";
import { type Run, useCounts, useRunLogs, useStep } from "./useRun";
import { ValueView } from "./ValueView";
import { hasEnded } from "./values";
import { ERROR_KINDS } from "./words";

/** The kind of a failure as a badge; nothing if it is unknown, as in runs of earlier versions. */
export function ErrorKind({ kind }: { kind: Schemas["RunOut"]["error_kind"] }) {
  if (kind === null || kind === undefined) return null;
  return (
    <Badge size="sm" variant="default" tt="none" fw={500}>
      {ERROR_KINDS[kind]}
    </Badge>
  );
}

const clock = new Intl.DateTimeFormat(LOCALE, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
});

interface LogLinesProps {
  entries: Schemas["LogOut"][];
  /** Names of nodes by id, if each entry should show its node. */
  names?: ReadonlyMap<string, string>;
  withNode?: boolean;
}

const MOST_DATA = 2_000;

function shown(data: unknown): string {
  const text = typeof data === "string" ? data : JSON.stringify(data, null, 2);
  return text.length > MOST_DATA ? `${text.slice(0, MOST_DATA)}…` : text;
}

/** Log entries, oldest first. */
export function LogLines({ entries, names, withNode = true }: LogLinesProps) {
  if (entries.length === 0) {
    return <Quiet>No log entries.</Quiet>;
  }
  return (
    <ul className={classes.entries}>
      {entries.map((entry) => (
        <li key={entry.id} className={classes.entry}>
          <time className={classes.clock} dateTime={entry.created_at}>
            {clock.format(new Date(entry.created_at))}
          </time>
          <span className={classes.level} data-level={entry.level}>
            {entry.level}
          </span>
          <span className={classes.text}>
            {withNode && entry.node_id !== null && <Quiet span>{names?.get(entry.node_id) ?? entry.node_id}: </Quiet>}
            {entry.message}
          </span>
          {entry.data !== null && entry.data !== undefined && <span className={classes.more}>{shown(entry.data)}</span>}
        </li>
      ))}
    </ul>
  );
}

// The settings of a step, with its expressions evaluated. The server computes them when they are shown.

const REASONS: Record<string, string> = {
  skipped: "The node was skipped, so it sent nothing.",
  pinned: "The output is pinned: the node was not executed, so it sent nothing.",
};

interface SentSettingsProps {
  run: string;
  number: number;
  /** The level of its heading. */
  level: 2 | 3;
}

function SentSettings({ run, number, level }: SentSettingsProps) {
  const [item, setItem] = useState(0);
  const { data, error, refetch } = api.useQuery(
    "get",
    "/api/runs/{run}/steps/{number}/settings",
    { params: { path: { run, number }, query: { item } } },
    { staleTime: 60_000, placeholderData: keepPreviousData },
  );
  const value = useMemo(
    () => Object.fromEntries(data?.settings?.map((one) => [one.name, one.ok ? one.value : null]) ?? []),
    [data],
  );
  if (error !== null && data === undefined) return <Refused error={error} onRetry={() => void refetch()} />;
  if (data === undefined) return <Loading label="Loading the settings" />;
  if (data.settings === null) {
    return <Quiet p="sm">{REASONS[data.reason ?? ""] ?? "The node was not executed."}</Quiet>;
  }
  const failed = data.settings.filter((one) => !one.ok);
  const cut = data.settings.filter((one) => one.truncated);
  return (
    <Box className={classes.sent}>
      {data.items !== null && data.items > 1 && (
        <Group gap="xs" p="xs" pb={0}>
          <NumberInput
            size="xs"
            w={90}
            aria-label="Item"
            min={1}
            max={data.items}
            value={item + 1}
            onChange={(next) => typeof next === "number" && next >= 1 && setItem(next - 1)}
          />
          <Quiet>of {count(data.items)} items</Quiet>
        </Group>
      )}
      {(failed.length > 0 || cut.length > 0) && (
        <Stack gap={2} p="xs" pb={0}>
          {failed.map((one) => (
            <Text key={one.name} size="xs" c="var(--failed)">
              {one.name}: {one.error}
            </Text>
          ))}
          {cut.map((one) => (
            <Quiet key={one.name} size="xs">
              {one.name} is long: only its beginning is shown.
            </Quiet>
          ))}
        </Stack>
      )}
      <Box className={classes.rest}>
        <ValueView title="Sent" value={value} nothing="This node has no settings" level={level} />
      </Box>
    </Box>
  );
}

interface StepPanelProps {
  run: Run;
  state: NodeState;
  step: Step;
  /** Select another attempt or item of the node. */
  onStep: (number: number) => void;
  /** Actions on the node, beside the name. */
  actions?: ReactNode;
  /** True to put input and output above each other, for narrow places. */
  stacked?: boolean;
  /** True to omit the node's name. */
  untitled?: boolean;
  /** True if the error is already shown elsewhere. */
  errorIsKnown?: boolean;
  /** True to show the output alone: the input is elsewhere. */
  withoutInput?: boolean;
  /** Beside the heading of the output, such as a button that pins it. */
  outputActions?: (output: unknown) => ReactNode;
}

/** One step: input and output side by side, error, log. */
export function StepPanel(props: StepPanelProps) {
  const { run, state, step, stacked = false, errorIsKnown = false } = props;
  const [part, setPart] = useState("data");
  const log = useRunLogs(run);
  const entries = log.data?.items.filter((entry) => entry.node_id === state.nodeId) ?? [];
  return (
    <section className={classes.panel} aria-label={`Step ${state.name}`}>
      <StepHead {...props} part={part} onPart={setPart} logged={entries.length} />
      {step.error_text !== null && !errorIsKnown && <StepError step={step} />}
      <Box className={classes.rest}>
        {part === "sent" ? (
          <SentSettings key={step.number} run={run.id} number={step.number} level={props.withoutInput ? 2 : 3} />
        ) : part === "log" ? (
          <ScrollArea h="100%" p="sm">
            <LogLines entries={entries} withNode={false} />
          </ScrollArea>
        ) : (
          <StepData
            run={run}
            state={state}
            step={step}
            stacked={stacked}
            withoutInput={props.withoutInput}
            outputActions={props.outputActions}
          />
        )}
      </Box>
    </section>
  );
}

interface StepHeadProps extends StepPanelProps {
  part: string;
  onPart: (part: string) => void;
  logged: number;
}

function StepHead(props: StepHeadProps) {
  const { run, state, step, onStep, actions, part, onPart, logged, untitled = false, withoutInput = false } = props;
  const { catalogue } = useCatalogue();
  const type = catalogue?.find(step.node_type);
  return (
    <Group className={classes.head} justify="space-between" gap="xs">
      <Group gap="xs" miw={0} wrap="nowrap">
        {!untitled && (
          <>
            <NodeIcon type={type} size={28} />
            <Text fw={600} truncate component="h2" size="md" title={`${state.name} (${state.nodeId})`}>
              {state.name}
            </Text>
          </>
        )}
        <StatusBadge outcome={outcomeOfStep(step, hasEnded(run))} />
        {step.status !== "skipped" && (
          <Quiet style={{ whiteSpace: "nowrap" }}>{duration(milliseconds(step.duration_us))}</Quiet>
        )}
        {step.pinned && <Quiet>pinned</Quiet>}
      </Group>
      <Group gap="xs" wrap="nowrap">
        {state.steps.length > 1 && <StepChoice state={state} step={step} onStep={onStep} />}
        <SegmentedControl
          size="xs"
          aria-label="Part of the step"
          value={part}
          onChange={onPart}
          data={[
            { value: "data", label: withoutInput ? "Output" : "Data" },
            { value: "sent", label: "Sent" },
            ...(logged > 0 ? [{ value: "log", label: `Log (${logged})` }] : []),
          ]}
        />
        {actions}
      </Group>
    </Group>
  );
}

function nameOfPart(step: Step, several: boolean): string {
  if (step.status === "repeated") return typeof step.index === "number" ? `Item ${step.index + 1}, a round` : "Round";
  if (typeof step.index !== "number") return several ? "All items" : `Attempt ${step.attempt}`;
  return step.attempt > 1 ? `Item ${step.index + 1}, attempt ${step.attempt}` : `Item ${step.index + 1}`;
}

/** The choice of an attempt or an item of a node. */
export function StepChoice({ state, step, onStep }: Pick<StepPanelProps, "state" | "step" | "onStep">) {
  return (
    <Select
      size="xs"
      w={190}
      aria-label="Attempt or item"
      data={state.steps.map((one) => ({
        value: String(one.number),
        label: `${nameOfPart(one, state.items !== null)}: ${labelOf(one.status).toLowerCase()}`,
      }))}
      value={String(step.number)}
      onChange={(value) => value !== null && onStep(Number(value))}
      searchable
      limit={100}
      comboboxProps={{ shadow: "md" }}
    />
  );
}

function StepError({ step }: { step: Step }) {
  return (
    <Alert
      color="red"
      variant="light"
      radius={0}
      py="xs"
      title={
        <Group gap="xs">
          {`Error${step.attempt > 1 ? ` of attempt ${step.attempt}` : ""}`}
          <ErrorKind kind={step.error_kind} />
        </Group>
      }
    >
      <Clamped text={step.error_text ?? ""} />
    </Alert>
  );
}

type StepDataProps = Pick<StepPanelProps, "run" | "state" | "step" | "stacked" | "withoutInput" | "outputActions">;

function StepData({ run, state, step, stacked = false, withoutInput = false, outputActions }: StepDataProps) {
  const { data, error, refetch } = useStep(run, step);
  const counts = useCounts(run);
  if (error !== null) return <Refused error={error} onRetry={() => void refetch()} />;
  if (data === undefined) {
    return (
      <Group p="md" role="status" aria-label="Loading the step">
        <Loader size="sm" />
      </Group>
    );
  }
  const output = (
    <ValueView
      key={`out ${data.id}`}
      title="Output"
      note={branchesInWords(state, step, counts)}
      value={data.output}
      nothing={withoutOutput(data)}
      actions={outputActions?.(data.output)}
      level={withoutInput ? 2 : 3}
    />
  );
  if (withoutInput) return output;
  return (
    <SplitPane
      direction={stacked ? "column" : "row"}
      name={stacked ? "step-stacked" : "step"}
      label="Width of input and output"
      first={<ValueView key={`in ${data.id}`} title="Input" value={data.input} nothing="No input" />}
      second={output}
    />
  );
}

function withoutOutput(step: Pick<Schemas["StepOut"], "status">): string {
  const words: Record<string, string> = {
    running: "Running",
    waiting: "Waiting",
    skipped: "Skipped: no active branch leads here",
    failed: "No output (failed)",
  };
  return words[step.status] ?? "No output";
}

/** Shown for a node that the run did not reach. */
export function NoStep({ name, ended }: { name: string; ended: boolean }) {
  return (
    <Empty
      title={ended ? `“${name}” was not executed in this run` : `“${name}” has not started`}
      hint={ended ? "It has no input and no output." : undefined}
    />
  );
}
