import { Anchor, Box, Button, Group, Stack, Text, Title, VisuallyHidden } from "@mantine/core";
import { IconCoffee } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { Link } from "wouter";
import { api, type Schemas } from "@/api/client";
import { stepOf } from "@/api/lastRun";
import { LIVE } from "@/api/queries";
import { Answered, Question } from "@/runs/Question";
import { useRun } from "@/runs/useRun";
import { briefText, isObject } from "@/runs/value/kinds";
import { referenceOf } from "@/runs/values";
import { shortId } from "@/runs/words";
import { LoadMore } from "@/ui/LoadMore";
import { Page } from "@/ui/Page";
import { Quiet } from "@/ui/Quiet";
import { Empty, Loading, LoadingRows, Refused } from "@/ui/states";
import { Time } from "@/ui/Time";
import { type ListedRun, useWaitingRuns } from "./useRuns";
import classes from "./waiting.module.css";

const PAST: Record<string, string> = { approved: "approved this", rejected: "rejected this" };

/** Return a sentence about the answer in a step's output; null if the output contains none. */
export function answerIn(output: unknown): string | null {
  if (typeof output !== "object" || output === null) return null;
  const { answer, by } = output as { answer?: unknown; by?: unknown };
  if (answer === "timeout") return "No one answered in time.";
  if (typeof answer !== "string" || typeof by !== "string") return null;
  // Keep an email address as it is; capitalize "a signed link".
  const who = by.includes("@") ? by : `${by.charAt(0).toUpperCase()}${by.slice(1)}`;
  return `${who} ${PAST[answer] ?? `answered “${answer}”`}.`;
}

/** Return a sentence about who answered a node of a run; undefined until that is recorded. */
function useWhoAnswered(run: string, node: string): string | null | undefined {
  const { data } = api.useQuery(
    "get",
    "/api/runs/{run}/steps",
    { params: { path: { run }, query: { node_id: node } } },
    {
      refetchInterval: (query) => (ended(query.state.data as Schemas["StepOutList"] | undefined) ? false : LIVE),
    },
  );
  return ended(data) ? answerIn(data?.items.at(-1)?.output) : undefined;
}

function ended(steps: Schemas["StepOutList"] | undefined): boolean {
  return steps?.items.at(-1)?.status === "success";
}

/** The runs that wait for an answer, oldest first. A question answered here stays visible until the page is left. */
export default function Waiting() {
  const query = useWaitingRuns();
  const shown = useStaying(query.runs, query.data !== undefined);

  return (
    <Page title="Approvals" docs="runs#waiting" about="Runs that wait for an answer, oldest first." width={760}>
      {query.error !== null && query.data === undefined ? (
        <Refused error={query.error} onRetry={() => void query.refetch()} />
      ) : query.isPending ? (
        <LoadingRows rows={3} />
      ) : shown.length === 0 ? (
        <Empty
          title="No open approvals"
          hint="Approvals requested by flows and agents appear here."
          icon={<IconCoffee size={32} aria-hidden color="var(--quiet)" />}
          action={
            <Button variant="default" component={Link} href="/runs">
              All runs
            </Button>
          }
        />
      ) : (
        <Stack component="ul" className={classes.list}>
          {shown.map((run) => (
            <WaitingRun key={run.id} run={run} />
          ))}
        </Stack>
      )}
      <LoadMore query={query} noun="runs" />
    </Page>
  );
}

/** Return the runs that wait now or waited when the page was opened: an answer must not remove its own card. */
function useStaying(runs: ListedRun[], ready: boolean): ListedRun[] {
  const [known, setKnown] = useState<ReadonlyMap<string, ListedRun>>(new Map());
  useEffect(() => {
    if (!ready) return;
    setKnown((before) => {
      const fresh = runs.filter((run) => !before.has(run.id));
      return fresh.length === 0 ? before : new Map([...before, ...fresh.map((run) => [run.id, run] as const)]);
    });
  }, [runs, ready]);
  return [...known.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

function WaitingRun({ run }: { run: ListedRun }) {
  const { data, error, refetch } = useRun(run.id);
  const [answered, setAnswered] = useState<Record<string, string>>({});
  // Keep a question after it was shown: it is replaced by its answer, not removed.
  const [asked, setAsked] = useState<Schemas["QuestionOut"][]>([]);
  useEffect(() => {
    if (data === undefined) return;
    setAsked((before) => {
      const known = new Set(before.map(keyOf));
      const fresh = data.questions.filter((question) => !known.has(keyOf(question)));
      return fresh.length === 0 ? before : [...before, ...fresh];
    });
  }, [data]);
  const open = new Set(data?.questions.map(keyOf));
  const problem: unknown = error;

  return (
    <Box component="li" className={classes.card}>
      <Group justify="space-between" wrap="nowrap" align="baseline" mb="xs">
        <Title order={2} size="h3" className={classes.flow}>
          {run.workflow_name}
        </Title>
        <Anchor component={Link} href={`/runs/${run.id}`} size="sm" className={classes.link}>
          View run<VisuallyHidden> {shortId(run.id)}</VisuallyHidden>
        </Anchor>
      </Group>
      {data === undefined && problem === null && <Loading label="Loading the question" />}
      {data === undefined && problem !== null && <Refused error={problem} onRetry={() => void refetch()} />}
      <Stack gap="lg">
        {asked.map((question) => (
          <One
            key={keyOf(question)}
            run={run.id}
            question={question}
            answer={answered[keyOf(question)]}
            open={open.has(keyOf(question))}
            onAnswered={(answer) => setAnswered((before) => ({ ...before, [keyOf(question)]: answer }))}
          />
        ))}
      </Stack>
      {data !== undefined && asked.length === 0 && <GoesOn run={data} />}
    </Box>
  );
}

function keyOf(question: Schemas["QuestionOut"]): string {
  return `${question.node_id} ${question.question ?? ""} ${question.asked_at}`;
}

interface OneProps {
  run: string;
  question: Schemas["QuestionOut"];
  answer: string | undefined;
  /** True while the question is open. */
  open: boolean;
  onAnswered: (answer: string) => void;
}

function One({ run, question, answer, open, onAnswered }: OneProps) {
  if (answer !== undefined) {
    return (
      <Box>
        <Quiet mb={4} className={classes.flow}>
          {question.text}
        </Quiet>
        <Answered answer={answer} />
      </Box>
    );
  }
  if (!open) return <Elsewhere run={run} question={question} />;
  return (
    <>
      <Given run={run} nodeId={question.node_id} />
      <Question run={run} question={question} onAnswered={onAnswered} />
    </>
  );
}

/** Fields that a card shows, and characters of each; the page of the run has them all. */
const MOST_FIELDS = 20;
const MOST_TEXT = 500;

/** What the question is about: the input of the node that asks, such as the answers of a form. */
function Given({ run, nodeId }: { run: string; nodeId: string }) {
  const { data: step } = useQuery({
    queryKey: ["asking step", run, nodeId],
    queryFn: () => stepOf(run, nodeId),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const input = step?.input;
  const fields = isObject(input) ? Object.entries(input) : [];
  if (fields.length === 0 || referenceOf(input) !== null) return null;
  return (
    <dl className={classes.given}>
      {fields.slice(0, MOST_FIELDS).map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{briefText(value, MOST_TEXT)}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Shown if another user answered first, or the time ran out. */
function Elsewhere({ run, question }: { run: string; question: Schemas["QuestionOut"] }) {
  const who = useWhoAnswered(run, question.node_id);
  return (
    <Box role="status">
      <Quiet mb={4} className={classes.flow}>
        {question.text}
      </Quiet>
      <Text fw={600}>{who ?? "It was answered by another user, or it expired."}</Text>
    </Box>
  );
}

function GoesOn({ run }: { run: { finished_at: string | null } }) {
  return (
    <Quiet component="div">
      {run.finished_at === null ? (
        "The run is no longer waiting."
      ) : (
        <>
          The run finished <Time at={run.finished_at} />.
        </>
      )}
    </Quiet>
  );
}
