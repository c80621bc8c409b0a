import { Alert, Anchor, Box, Group, Menu, Progress, Text, Title, Tooltip } from "@mantine/core";
import { useDocumentTitle, useMediaQuery } from "@mantine/hooks";
import {
  IconAlertTriangle,
  IconArrowLeft,
  IconChevronDown,
  IconCircleMinus,
  IconPencil,
  IconPlayerStop,
  IconRefresh,
  IconTrash,
  IconUserQuestion,
} from "@tabler/icons-react";
import { Fragment, type ReactNode, useState } from "react";
import { Link, useLocation } from "wouter";
import { api, type Schemas } from "@/api/client";
import { CALM } from "@/api/queries";
import { useSession } from "@/app/session";
import type { Json } from "@/definition/types";
import type { Asked } from "@/runs/input/asked";
import { InputDialog } from "@/runs/input/InputDialog";
import { pastOf, Question } from "@/runs/Question";
import { ErrorKind } from "@/runs/StepPanel";
import type { NodeState } from "@/runs/states";
import { type Run, useDefinition } from "@/runs/useRun";
import { type RetryChoice, useRunActions } from "@/runs/useRunActions";
import { fetchWhole, hasEnded, isMoving } from "@/runs/values";
import { agentOf, inEditor, shortId, triggerOf, waitingText } from "@/runs/words";
import { Button } from "@/ui/Button";
import { Clamped } from "@/ui/Clamped";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { milliseconds } from "@/ui/format";
import { notify } from "@/ui/notify";
import { Quiet } from "@/ui/Quiet";
import { labelOf, outcomeOf, StatusBadge } from "@/ui/StatusBadge";
import { Elapsed, Time } from "@/ui/Time";
import classes from "./runs.module.css";

/** Return true if the editor can change flows here: it is read-only on a phone and for some roles. */
function useEditsHere(): boolean {
  const { may } = useSession();
  const isPhone = useMediaQuery("(max-width: 48em)", undefined, { getInitialValueInEffect: false }) ?? false;
  return may("editor") && !isPhone;
}

/** Retry the run and open the new run. */
function useRetry(run: Run) {
  const actions = useRunActions();
  const [, go] = useLocation();
  const [busy, setBusy] = useState(false);
  async function retry(choice: RetryChoice) {
    setBusy(true);
    try {
      const made = await actions.retry(run, choice);
      go(`/runs/${made.id}`);
    } catch (error) {
      notify.refused("The run could not be retried", error);
    } finally {
      setBusy(false);
    }
  }
  return { retry, busy };
}

/** The actions on the run. */
function RunActions({ run, node }: { run: Run; node: string | null }) {
  const editsHere = useEditsHere();
  const ended = hasEnded(run);
  const isAgent = agentOf(run) !== undefined;
  return (
    <Group gap="xs">
      {!ended && <Stop run={run} />}
      {ended && !isAgent && <RetryMenu run={run} />}
      <Button variant="default" component={Link} href={inEditor(run, node)} icon={IconPencil}>
        {isAgent ? "Open agent" : editsHere ? "Open in editor" : "Open flow"}
      </Button>
      {ended && <Delete run={run} />}
    </Group>
  );
}

/** Ask for another input, starting with the run's own, and run the current version of the flow. */
function useAnotherInput(run: Run) {
  const actions = useRunActions();
  const [, go] = useLocation();
  const [asking, setAsking] = useState<{ asked: Asked; initial: Json } | null>(null);
  async function ask() {
    try {
      const [asked, input] = await Promise.all([actions.asked(run.workflow_id), fetchWhole(run.input)]);
      setAsking({ asked, initial: input as Json });
    } catch (error) {
      notify.refused("The flow could not be run", error);
    }
  }
  const dialog = asking && (
    <InputDialog
      {...asking}
      flowId={run.workflow_id}
      title={`Run “${run.workflow_name}”`}
      hint="Optional input of the run."
      onClose={() => setAsking(null)}
      onRun={async (input) => {
        const made = await actions.start(run.workflow_id, input);
        setAsking(null);
        go(`/runs/${made.id}`);
      }}
    />
  );
  return { ask, dialog };
}

function RetryMenu({ run }: { run: Run }) {
  const { may } = useSession();
  const another = useAnotherInput(run);
  const { retry, busy } = useRetry(run);
  const failed = run.status === "failed";
  const same = run.draft
    ? "with the unsaved flow of this run"
    : `with version ${run.workflow_version} (this run's version)`;
  return (
    <>
      <Menu position="bottom-end" shadow="md" disabled={!may("operator")}>
        <Menu.Target>
          <Tooltip label="Requires the operator role" disabled={may("operator")}>
            <Button
              variant="default"
              loading={busy}
              data-disabled={!may("operator") || undefined}
              icon={IconRefresh}
              rightSection={<IconChevronDown size={14} aria-hidden />}
            >
              {failed ? "Retry" : "Run again"}
            </Button>
          </Tooltip>
        </Menu.Target>
        <Menu.Dropdown>
          {!run.draft && (
            <>
              <Menu.Label>With the latest version</Menu.Label>
              {failed && (
                <Menu.Item onClick={() => void retry({ from: "failed", version: "latest" })}>
                  From the failed node
                </Menu.Item>
              )}
              <Menu.Item onClick={() => void retry({ from: "start", version: "latest" })}>From the start</Menu.Item>
              <Menu.Item onClick={() => void another.ask()}>With another input…</Menu.Item>
            </>
          )}
          <Menu.Label>{same.charAt(0).toUpperCase() + same.slice(1)}</Menu.Label>
          {failed && (
            <Menu.Item onClick={() => void retry({ from: "failed", version: "same" })}>From the failed node</Menu.Item>
          )}
          <Menu.Item onClick={() => void retry({ from: "start", version: "same" })}>From the start</Menu.Item>
        </Menu.Dropdown>
      </Menu>
      {another.dialog}
    </>
  );
}

function Stop({ run }: { run: Run }) {
  const { may } = useSession();
  const actions = useRunActions();
  const [asking, setAsking] = useState(false);
  return (
    <>
      <Tooltip label="Requires the operator role" disabled={may("operator")}>
        <Button
          variant="default"
          data-disabled={!may("operator") || undefined}
          icon={IconPlayerStop}
          onClick={() => may("operator") && setAsking(true)}
        >
          Cancel run
        </Button>
      </Tooltip>
      <ConfirmDialog
        opened={asking}
        onClose={() => setAsking(false)}
        title="Cancel this run?"
        action="Cancel run"
        danger
        onConfirm={() => actions.cancel(run)}
      >
        Changes already made are not undone. You can run it again later.
      </ConfirmDialog>
    </>
  );
}

function Delete({ run }: { run: Run }) {
  const { may } = useSession();
  const actions = useRunActions();
  const [, go] = useLocation();
  const [asking, setAsking] = useState(false);
  if (!may("editor")) return null;
  return (
    <>
      <Button variant="default" c="var(--failed)" icon={IconTrash} onClick={() => setAsking(true)}>
        Delete
      </Button>
      <ConfirmDialog
        opened={asking}
        onClose={() => setAsking(false)}
        title="Delete this run?"
        action="Delete"
        danger
        onConfirm={async () => {
          await actions.remove(run);
          notify.done("Run deleted");
          go("/runs");
        }}
      >
        Its steps and its log are deleted too. This cannot be undone.
      </ConfirmDialog>
    </>
  );
}

/** Notices about a run: its error and a link to fix it, or the reason for which it waits. */
export function RunNotices({ run, failed }: { run: Run; failed: NodeState | undefined }) {
  if (run.cancelled) return <Cancelled run={run} />;
  if (run.status === "failed") return <Failure run={run} failed={failed} />;
  return (
    <>
      {run.questions.map((question) => (
        <AskedHere key={`${question.node_id} ${question.question}`} run={run} question={question} />
      ))}
      {run.waiting && run.questions.length === 0 && (
        <Alert variant="light" color="gray" py="xs">
          {waitingText(run.waiting)}
        </Alert>
      )}
    </>
  );
}

function Cancelled({ run }: { run: Run }) {
  return (
    <Alert variant="light" color="gray" py="xs" icon={<IconCircleMinus aria-hidden />} title="The run was cancelled">
      {run.error_text}
    </Alert>
  );
}

function Failure({ run, failed }: { run: Run; failed: NodeState | undefined }) {
  const { may } = useSession();
  const editsHere = useEditsHere();
  const { retry, busy } = useRetry(run);
  const isAgent = agentOf(run) !== undefined;
  return (
    <Alert
      color="red"
      variant="light"
      icon={<IconAlertTriangle aria-hidden />}
      title={
        <Group gap="xs">
          {failed === undefined ? "The run failed" : `“${failed.name}” failed`}
          <ErrorKind kind={run.error_kind} />
        </Group>
      }
      role="alert"
    >
      <Clamped text={run.error_text ?? "No error message."} />
      <Group gap="xs" mt="xs">
        <Button size="xs" component={Link} href={inEditor(run, failed?.nodeId)} icon={IconPencil}>
          {isAgent ? "Open agent" : editsHere ? "Fix in editor" : "View in editor"}
        </Button>
        {!isAgent && (
          <Tooltip label="Keeps the completed steps. Requires the operator role.">
            <Button
              size="xs"
              variant="default"
              loading={busy}
              data-disabled={!may("operator") || undefined}
              onClick={() => may("operator") && void retry({ from: "failed", version: run.draft ? "same" : "latest" })}
              icon={IconRefresh}
            >
              Retry from here
            </Button>
          </Tooltip>
        )}
      </Group>
    </Alert>
  );
}

function AskedHere({ run, question }: { run: Run; question: Schemas["QuestionOut"] }) {
  return (
    <section className={classes.asked} aria-label="Question">
      <Group gap="xs" c="var(--waiting)" mb="xs" wrap="nowrap">
        <IconUserQuestion size={20} aria-hidden />
        <Text fw={600} size="sm" c="inherit">
          {question.answers.length > 1 ? "Waiting for an answer" : "Waiting for a callback"}
        </Text>
      </Group>
      <Box maw={640}>
        <Question
          run={run.id}
          question={question}
          onAnswered={(answer) => notify.done(`You ${pastOf(answer)}. The run continues.`)}
        />
      </Box>
    </section>
  );
}

/** The header of a run: flow, outcome, facts and actions. */
export function RunHeader({ run, node }: { run: Run; node: string | null }) {
  const outcome = outcomeOf(run);
  const { data: definition } = useDefinition(run.id);
  useDocumentTitle(`${labelOf(outcome)}: ${run.workflow_name} · Headrace`);
  return (
    <Box component="header">
      <Group justify="space-between" align="flex-start" gap="sm">
        <Box miw={0}>
          <Anchor
            component={Link}
            href="/runs"
            size="sm"
            display="inline-flex"
            style={{ alignItems: "center", gap: 4 }}
          >
            <IconArrowLeft size={14} aria-hidden />
            Runs
          </Anchor>
          <Group gap="sm" wrap="nowrap">
            <Title order={1} lineClamp={2}>
              {run.workflow_name}
            </Title>
            <Box aria-live="polite" display="flex">
              <StatusBadge outcome={outcome} />
            </Box>
          </Group>
        </Box>
        <RunActions run={run} node={node} />
      </Group>
      {definition?.settings?.description && (
        <Text size="sm" lineClamp={2} maw={760} title={definition.settings.description}>
          {definition.settings.description}
        </Text>
      )}
      <Facts run={run} />
      <RunProgress run={run} />
    </Box>
  );
}

function Facts({ run }: { run: Run }) {
  const children = useChildren(run);
  const facts: [string, ReactNode][] = [
    ["started", <Time key="t" at={run.started_at ?? run.created_at} />],
    ["took", <Elapsed key="e" startedAt={run.started_at} ms={milliseconds(run.duration_us)} running={isMoving(run)} />],
    ["trigger", triggerOf(run).toLowerCase()],
  ];
  if (agentOf(run) === undefined) facts.push(["version", <VersionOf key="v" run={run} />]);
  if (run.until) facts.push(["until", <>up to “{run.until}”</>]);
  if (run.only) facts.push(["only", <>only “{run.only}”</>]);
  if (run.pinned?.length) facts.push(["pinned", `${run.pinned.length} pinned`]);
  if (run.retry_of)
    facts.push(["retry", <RunLink key="r" before={run.only ? "data of" : "repeats"} id={run.retry_of} />]);
  if (run.parent_run_id) facts.push(["parent", <RunLink key="p" before="started by" id={run.parent_run_id} />]);
  if (children.length > 0) facts.push(["children", <Children key="c" runs={children} />]);
  return (
    <Quiet component="div" mt={4}>
      {facts.map(([name, shown], at) => (
        <Fragment key={name}>
          {at > 0 && " · "}
          {shown}
        </Fragment>
      ))}
    </Quiet>
  );
}

const NO_CHILDREN: Schemas["RunBriefOut"][] = [];

/** Return the runs that this run started. */
function useChildren(run: Run) {
  const { data } = api.useQuery(
    "get",
    "/api/runs/{run}/children",
    { params: { path: { run: run.id } } },
    { refetchInterval: hasEnded(run) ? false : CALM, staleTime: CALM },
  );
  return data?.items ?? NO_CHILDREN;
}

const MOST_NAMED = 5;

function Children({ runs }: { runs: Schemas["RunBriefOut"][] }) {
  return (
    <>
      started{" "}
      {runs.slice(0, MOST_NAMED).map((run, at) => (
        <Fragment key={run.id}>
          {at > 0 && ", "}
          <RunLink before="" id={run.id} />
        </Fragment>
      ))}
      {runs.length > MOST_NAMED && ` and ${runs.length - MOST_NAMED} more`}
    </>
  );
}

function VersionOf({ run }: { run: Run }) {
  if (run.draft) return <>unsaved changes</>;
  if (run.workflow_version === null || run.workflow_version === undefined) return <>no version</>;
  return (
    <Anchor
      component={Link}
      href={`/flows/${run.workflow_id}/versions?version=${run.workflow_version}`}
      inherit
      underline="always"
    >
      version {run.workflow_version}
    </Anchor>
  );
}

function RunLink({ before, id }: { before: string; id: string }) {
  return (
    <>
      {before}{" "}
      <Anchor component={Link} href={`/runs/${id}`} inherit underline="always" title={id}>
        run …{shortId(id)}
      </Anchor>
    </>
  );
}

/** The number of finished nodes, while the run is active. */
function RunProgress({ run }: { run: Run }) {
  const progress = run.progress as { done: number; total: number } | null | undefined;
  if (hasEnded(run) || !progress || progress.total === 0) return null;
  const share = (100 * progress.done) / progress.total;
  return (
    <Group gap="sm" mt={6} wrap="nowrap">
      <Progress.Root size="sm" flex={1}>
        <Progress.Section value={share} animated={isMoving(run)} aria-label="Progress of the run" />
      </Progress.Root>
      <Quiet size="xs">
        {progress.done} of {progress.total} nodes
      </Quiet>
    </Group>
  );
}
