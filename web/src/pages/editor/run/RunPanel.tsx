import { Alert, Anchor, Box, Button, CloseButton, Group, Progress, Text } from "@mantine/core";
import { useEffect, useMemo, useState } from "react";
import { Link } from "wouter";
import { ApiError } from "@/api/client";
import { Answered, Question } from "@/runs/Question";
import type { NodeState } from "@/runs/states";
import type { Run } from "@/runs/useRun";
import { ValueView } from "@/runs/ValueView";
import { briefOf, hasEnded, isMoving } from "@/runs/values";
import { waitingText } from "@/runs/words";
import { Clamped } from "@/ui/Clamped";
import { milliseconds } from "@/ui/format";
import { Quiet } from "@/ui/Quiet";
import { outcomeOf, StatusBadge } from "@/ui/StatusBadge";
import { Refused } from "@/ui/states";
import { Elapsed } from "@/ui/Time";
import { useEditor, useEditorStore } from "../context";
import { ProblemLine } from "../Problems";
import { checkOf } from "../problems";
import { calledIn } from "../store";
import { Listening, useListening } from "./Listening";
import classes from "./run.module.css";
import { shownOf, useRunStore } from "./runStore";
import { isLackOfData } from "./starting";
import { useEditorRun } from "./useEditorRun";

function isOfFlow(refusal: unknown): refusal is ApiError {
  return refusal instanceof ApiError && refusal.details.length > 0;
}

/** The current run below the canvas: progress, output or error. Renders nothing without a run. */
export function RunPanel() {
  const { run, starting, refusal, failed, dismiss, runOrAsk } = useEditorRun();
  const flowId = useEditor((state) => state.flow.id);
  const listening = useListening();
  const refusedNode = useRunStore((known) => shownOf(known, flowId).refusedNode);
  const store = useEditorStore();
  useEffect(() => {
    // The user may fix the problems now; the list of problems shows the remaining ones.
    if (isOfFlow(refusal)) return store.subscribe((now, old) => now.definition !== old.definition && dismiss());
  }, [store, refusal, dismiss]);
  if (listening !== null) return <Listening begun={listening} />;
  if (refusal !== null) {
    return (
      <Box component="section" aria-label="Run" className={classes.panel}>
        <Group justify="space-between" wrap="nowrap" align="flex-start">
          <Box flex={1} className={classes.refusal}>
            {refusedNode !== null && isLackOfData(refusal) ? (
              <LackOfData nodeId={refusedNode} refusal={refusal} onRun={(id) => void runOrAsk(id)} />
            ) : (
              <Refusal error={refusal} />
            )}
          </Box>
          <CloseButton aria-label="Close" data-next="[data-run]" onClick={dismiss} />
        </Group>
      </Box>
    );
  }
  if (!starting && run === undefined) return null;
  return (
    <Box component="section" aria-label="Run" className={classes.panel}>
      <Group gap="sm" wrap="nowrap">
        <Box aria-live="polite" display="flex">
          <StatusBadge outcome={starting || run === undefined ? "running" : outcomeOf(run)} />
        </Box>
        {starting || run === undefined ? (
          <Progress flex={1} size="sm" value={100} animated aria-label="Starting" />
        ) : (
          <Standing run={run} />
        )}
        {run !== undefined && !starting && (
          <Anchor component={Link} href={`/runs/${run.id}`} size="sm" className={classes.still}>
            Open run
          </Anchor>
        )}
        <CloseButton aria-label="Close run" data-next="[data-run]" onClick={dismiss} disabled={starting} />
      </Group>
      {!starting && run !== undefined && <About run={run} failed={failed} />}
    </Box>
  );
}

/** Why the run was not started; problems link to their nodes. */
function Refusal({ error }: { error: unknown }) {
  const definition = useEditor((state) => state.definition);
  const catalogue = useEditor((state) => state.catalogue);
  const problems = error instanceof ApiError ? checkOf(definition, error.details, {}, catalogue).problems : [];
  if (!problems.some((problem) => problem.nodeId !== null)) return <Refused error={error} />;
  return (
    <Alert color="red" variant="light" title="The flow cannot run">
      {problems.map((problem) => (
        <ProblemLine key={`${problem.path} ${problem.message}`} problem={problem} />
      ))}
    </Alert>
  );
}

interface LackOfDataProps {
  nodeId: string;
  refusal: ApiError;
  onRun: (nodeId: string) => void;
}

/** Why a node could not be run alone: the run took another branch, or the node is disabled. */
function LackOfData({ nodeId, refusal, onRun }: LackOfDataProps) {
  const name = useEditor((state) => calledIn(state, nodeId));
  const isDisabled = useEditor((state) => state.definition.nodes.find((one) => one.id === nodeId)?.disabled);
  if (isDisabled) return <Refused error={refusal} />;
  return (
    <Alert color="yellow" variant="light" py="xs" role="alert">
      <Group justify="space-between" gap="xs">
        <Text size="sm" flex={1} miw={200}>
          <b>“{name}” has no input yet.</b> The last run took another branch. Run up to here with an input that leads to
          it, or pin the output of a node before it.
        </Text>
        <Button size="compact-sm" variant="default" onClick={() => onRun(nodeId)}>
          Run up to here
        </Button>
      </Group>
    </Alert>
  );
}

function Standing({ run }: { run: Run }) {
  const progress = run.progress as { done: number; total: number } | null | undefined;
  const until = useEditor((state) => run.until && calledIn(state, run.until));
  const only = useEditor((state) => run.only && calledIn(state, run.only));
  const notes = [
    until ? `up to “${until}”` : null,
    only ? `only “${only}”` : null,
    run.pinned?.length ? `${run.pinned.length} pinned` : null,
  ].filter((note) => note !== null);
  return (
    <>
      <Quiet component="div" className={classes.still}>
        <Elapsed startedAt={run.started_at} ms={milliseconds(run.duration_us)} running={isMoving(run)} />
        {notes.map((note) => ` · ${note}`)}
      </Quiet>
      {progress && progress.total > 0 && !hasEnded(run) ? (
        <>
          <Progress.Root size="sm" flex={1}>
            <Progress.Section
              value={(100 * progress.done) / progress.total}
              animated={isMoving(run)}
              aria-label="Progress of the run"
            />
          </Progress.Root>
          <Quiet size="xs" className={classes.still}>
            {progress.done} of {progress.total}
          </Quiet>
        </>
      ) : (
        <Box flex={1} />
      )}
    </>
  );
}

function About({ run, failed }: { run: Run; failed: NodeState | undefined }) {
  const store = useEditorStore();
  const there = useEditor((state) => state.definition.nodes.some((node) => node.id === failed?.nodeId));
  if (run.status === "failed" && !run.cancelled) {
    return (
      <Alert color="red" variant="light" mt="xs" py="xs" role="alert">
        <Group justify="space-between" wrap="nowrap" align="flex-start">
          <Box flex={1} miw={0}>
            <Text fw={600} size="sm" title={failed?.nodeId}>
              {failed === undefined ? "The run failed" : `“${failed.name}” failed`}
            </Text>
            <Clamped text={run.error_text ?? ""} lines={2} />
          </Box>
          {failed !== undefined && there && (
            <Button size="compact-sm" variant="default" onClick={() => store.getState().goTo(failed.nodeId)}>
              Go to node
            </Button>
          )}
        </Group>
      </Alert>
    );
  }
  if (run.questions.length > 0) return <Asked run={run} />;
  if (run.waiting) {
    return <Quiet mt={4}>{waitingText(run.waiting)}</Quiet>;
  }
  return run.status === "success" ? <Output key={run.id} run={run} /> : null;
}

/** The run's output: its beginning, and all of it on request. */
function Output({ run }: { run: Run }) {
  const [open, setOpen] = useState(false);
  const brief = useMemo(() => briefOf(run.output), [run.output]);
  return (
    <Box mt={4}>
      <Group gap="sm" wrap="nowrap" align="flex-start">
        <Text size="sm" fw={600} className={classes.still}>
          Output
        </Text>
        {!open && (
          <Text size="sm" className={classes.brief} c={brief.text === null ? "var(--quiet)" : undefined}>
            {brief.text ?? "No output"}
          </Text>
        )}
        {brief.more && (
          <Button
            size="compact-xs"
            variant="subtle"
            ml={open ? "auto" : undefined}
            className={classes.still}
            aria-expanded={open}
            onClick={() => setOpen(!open)}
          >
            {open ? "Show less" : "Show all"}
          </Button>
        )}
      </Group>
      {open && (
        <Box className={classes.value} mt={4}>
          <ValueView title="Output of the run" value={run.output} />
        </Box>
      )}
    </Box>
  );
}

/** A question of the run, to answer while trying out the flow. */
function Asked({ run }: { run: Run }) {
  const [answer, setAnswer] = useState<string | null>(null);
  const [question] = run.questions;
  if (question === undefined) return null;
  return (
    <Box mt="xs" maw={640}>
      {answer === null ? (
        <Question
          key={`${question.node_id} ${question.question}`}
          run={run.id}
          question={question}
          onAnswered={setAnswer}
        />
      ) : (
        <Answered answer={answer} />
      )}
    </Box>
  );
}
