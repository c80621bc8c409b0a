import { Alert, Box, Group, Loader, ScrollArea, SegmentedControl, Select, Text } from "@mantine/core";
import { type ReactNode, useState } from "react";
import { useCatalogue } from "@/api/catalogue";
import type { Schemas } from "@/api/client";
import { Clamped } from "@/ui/Clamped";
import { duration, milliseconds } from "@/ui/format";
import { NodeIcon } from "@/ui/NodeIcon";
import { SplitPane } from "@/ui/SplitPane";
import { labelOf, StatusBadge } from "@/ui/StatusBadge";
import { Empty, Refused } from "@/ui/states";
import { ErrorKind } from "./ErrorKind";
import { LogLines } from "./LogLines";
import { hasEnded } from "./moving";
import classes from "./panel.module.css";
import { SentSettings } from "./SentSettings";
import { type NodeState, outcomeOfStep, type Step } from "./states";
import { type Run, useRunLogs, useStep } from "./useRun";
import { ValueView } from "./ValueView";

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
          <SentSettings
            key={step.number}
            run={run.id}
            number={step.number}
            level={props.withoutInput ? 2 : 3}
          />
        ) : part === "log" ? (
          <ScrollArea h="100%" p="sm">
            <LogLines entries={entries} withNode={false} />
          </ScrollArea>
        ) : (
          <StepData
            run={run}
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
  const {
    run,
    state,
    step,
    onStep,
    actions,
    part,
    onPart,
    logged,
    untitled = false,
    withoutInput = false,
  } = props;
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
          <Text size="sm" c="var(--quiet)" style={{ whiteSpace: "nowrap" }}>
            {duration(milliseconds(step.duration_us))}
          </Text>
        )}
        {step.pinned && (
          <Text size="sm" c="var(--quiet)">
            pinned
          </Text>
        )}
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
  if (step.status === "repeated")
    return typeof step.index === "number" ? `Item ${step.index + 1}, a round` : "Round";
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
      allowDeselect={false}
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

type StepDataProps = Pick<StepPanelProps, "run" | "step" | "stacked" | "withoutInput" | "outputActions">;

function StepData({ run, step, stacked = false, withoutInput = false, outputActions }: StepDataProps) {
  const { data, error, refetch } = useStep(run, step);
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
      title={ended ? `The run did not reach “${name}”` : `“${name}” has not started`}
      hint={ended ? "It has no input and no output." : undefined}
    />
  );
}
