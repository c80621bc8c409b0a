import { Alert, Box, Button, Group, Text, Tooltip } from "@mantine/core";
import {
  IconAlertTriangle,
  IconCircleMinus,
  IconPencil,
  IconRefresh,
  IconUserQuestion,
} from "@tabler/icons-react";
import { Link } from "wouter";
import type { Schemas } from "@/api/client";
import { useSession } from "@/app/session";
import { ErrorKind } from "@/runs/ErrorKind";
import { agentOf, inEditor } from "@/runs/links";
import { pastOf, Question } from "@/runs/Question";
import type { NodeState } from "@/runs/states";
import type { Run } from "@/runs/useRun";
import { waitingText } from "@/runs/words";
import { Clamped } from "@/ui/Clamped";
import { notify } from "@/ui/notify";
import { useRetry } from "./RunActions";
import classes from "./runs.module.css";
import { useEditsHere } from "./useEditsHere";

/** Notices about a run: its error and a link to fix it, or the reason for which it waits. */
export function RunNotices({ run, failed }: { run: Run; failed: NodeState | undefined }) {
  if (run.cancelled) return <Cancelled run={run} />;
  if (run.status === "failed") return <Failure run={run} failed={failed} />;
  return (
    <>
      {run.questions.map((question) => (
        <Asked key={`${question.node_id} ${question.question}`} run={run} question={question} />
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
    <Alert
      variant="light"
      color="gray"
      py="xs"
      icon={<IconCircleMinus aria-hidden />}
      title="The run was cancelled"
    >
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
        <Button
          size="xs"
          component={Link}
          href={inEditor(run, failed?.nodeId)}
          leftSection={<IconPencil size={14} aria-hidden />}
        >
          {isAgent ? "Open agent" : editsHere ? "Fix in editor" : "View in editor"}
        </Button>
        {!isAgent && (
          <Tooltip label="Keeps the completed steps. Requires the operator role.">
            <Button
              size="xs"
              variant="default"
              loading={busy}
              data-disabled={!may("operator") || undefined}
              onClick={() =>
                may("operator") && void retry({ from: "failed", version: run.draft ? "same" : "latest" })
              }
              leftSection={<IconRefresh size={14} aria-hidden />}
            >
              Retry from here
            </Button>
          </Tooltip>
        )}
      </Group>
    </Alert>
  );
}

function Asked({ run, question }: { run: Run; question: Schemas["QuestionOut"] }) {
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
