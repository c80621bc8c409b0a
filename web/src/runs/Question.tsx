/** What a run asks people, and the buttons that answer it; the same on the run's page and in the list of what waits. */

import { Alert, Button, Group, Stack, Text, Textarea, Tooltip } from "@mantine/core";
import { IconCircleCheck, IconInfoCircle } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useCatalogue } from "@/api/catalogue";
import { ApiError, type Schemas, server } from "@/api/client";
import { useSession } from "@/app/session";
import { notify } from "@/ui/notify";
import { messageOf, Refused } from "@/ui/states";
import { Time } from "@/ui/Time";
import classes from "./question.module.css";
import { nameOfStep } from "./states";
import { verbOf } from "./words";

type Asked = Schemas["QuestionOut"];

interface QuestionProps {
  run: string;
  question: Asked;
  /** Told once the server has the answer. */
  onAnswered?: (answer: string) => void;
}

const LONGEST_COMMENT = 2_000;
const PAST: Record<string, string> = { approved: "approved", rejected: "rejected", received: "let it go on" };

export function pastOf(answer: string): string {
  return PAST[answer] ?? `answered “${answer}”`;
}

/** The body of the answer: a text as a comment, or what a callback receives. */
function bodyOf(question: Asked, answer: string, text: string): Schemas["AnswerIn"] {
  const to = { node_id: question.node_id, answer, question: question.question };
  if (text.trim() === "") return to;
  return question.answers.length > 1 ? { ...to, comment: text } : { ...to, body: received(text) };
}

/** JSON where it is some, else the text. */
function received(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Somebody else was quicker, or the time is over. */
function isTaken(error: unknown): boolean {
  return error instanceof ApiError && error.status === 409;
}

function useAnswer({ run, question, onAnswered }: QuestionProps) {
  const client = useQueryClient();
  const [sending, setSending] = useState<string | null>(null);
  const [error, setError] = useState<unknown>(null);

  async function answer(name: string, text: string) {
    setSending(name);
    setError(null);
    try {
      await server.POST("/api/runs/{run}/resume", {
        params: { path: { run } },
        body: bodyOf(question, name, text),
      });
      onAnswered?.(name);
    } catch (problem) {
      setError(problem);
      if (isTaken(problem)) notify.refused("Your answer did not count", problem);
    } finally {
      setSending(null);
      void client.invalidateQueries({
        predicate: ({ queryKey: [, path] }) => typeof path === "string" && path.startsWith("/api/runs"),
      });
    }
  }
  return { sending, error, answer };
}

export function Question(props: QuestionProps) {
  const { question } = props;
  const { may } = useSession();
  const { catalogue } = useCatalogue();
  const [text, setText] = useState("");
  const { sending, error, answer } = useAnswer(props);
  const mayAnswer = may("operator");
  const hasChoice = question.answers.length > 1;
  const isOver = isTaken(error);

  return (
    <Stack gap="sm">
      <Text className={classes.text}>{question.text}</Text>
      <Text size="sm" c="var(--quiet)" component="div">
        Asked by “{nameOfStep(question, catalogue)}” <Time at={question.asked_at} />
        {question.expires_at !== null && (
          <>
            , closes <Time at={question.expires_at} />
          </>
        )}
      </Text>
      <Textarea
        label={hasChoice ? "Comment" : "What it receives"}
        description={hasChoice ? undefined : "Text or JSON, if it needs any"}
        placeholder={hasChoice ? "If you like" : undefined}
        autosize
        minRows={hasChoice ? 1 : 2}
        maxRows={8}
        maxLength={hasChoice ? LONGEST_COMMENT : undefined}
        value={text}
        disabled={!mayAnswer || isOver}
        onChange={(event) => setText(event.currentTarget.value)}
      />
      {isOver ? (
        <Alert
          color="gray"
          variant="light"
          icon={<IconInfoCircle aria-hidden />}
          title="Your answer did not count"
        >
          {messageOf(error)}. The run shows who answered, and how it went on.
        </Alert>
      ) : (
        error !== null && <Refused error={error} />
      )}
      <Tooltip label="Answering needs the role operator" disabled={mayAnswer}>
        <Group gap="sm" grow className={classes.answers}>
          {question.answers.map((name, at) => (
            <Button
              key={name}
              size="md"
              variant={at === 0 ? "filled" : "default"}
              disabled={!mayAnswer || isOver || (sending !== null && sending !== name)}
              loading={sending === name}
              onClick={() => void answer(name, text)}
            >
              {verbOf(name)}
            </Button>
          ))}
        </Group>
      </Tooltip>
      <Text size="xs" c="var(--quiet)">
        An answer counts at once and cannot be taken back.
      </Text>
    </Stack>
  );
}

/** Says what was done, in place of the question. */
export function Answered({ answer }: { answer: string }) {
  return (
    <Group gap="xs" wrap="nowrap" c="var(--success)" role="status">
      <IconCircleCheck size={22} aria-hidden style={{ flexShrink: 0 }} />
      <Text fw={600} c="inherit">
        You {pastOf(answer)}. The run goes on.
      </Text>
    </Group>
  );
}
