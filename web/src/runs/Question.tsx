/** A question of a run with the buttons that answer it; used on the run's page and on the page Approvals. */

import { Alert, Button, Group, Stack, Text, Textarea, Tooltip } from "@mantine/core";
import { IconCircleCheck, IconInfoCircle } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { Suspense, useState } from "react";
import { useCatalogue } from "@/api/catalogue";
import { ApiError, type Schemas, server } from "@/api/client";
import { useSession } from "@/app/session";
import type { Json } from "@/definition/types";
import type { FieldSchema } from "@/forms/schema/types";
import { initialOf } from "@/forms/schema/values";
import { lazily } from "@/ui/lazily";
import { notify } from "@/ui/notify";
import { Quiet } from "@/ui/Quiet";
import { Loading, messageOf, Refused } from "@/ui/states";
import { Time } from "@/ui/Time";
import { faultsOfForm } from "./input/asked";
import type { Chosen } from "./input/files";
import classes from "./question.module.css";
import { nameOfStep } from "./states";
import { verbOf } from "./words";

type Asked = Schemas["QuestionOut"];

interface QuestionProps {
  run: string;
  question: Asked;
  /** Called after the server accepted the answer. */
  onAnswered?: (answer: string) => void;
}

interface Given {
  text: string;
  values: Record<string, Json>;
  files: Chosen;
}

const InputForm = lazily(() => import("./input/InputForm"));
const FileFields = lazily(() => import("./input/FileFields"));
const LONGEST_COMMENT = 2_000;
const PAST: Record<string, string> = {
  approved: "approved",
  rejected: "rejected",
  received: "continued the run",
};

export function pastOf(answer: string): string {
  return PAST[answer] ?? `answered “${answer}”`;
}

/** Return the request body: the text is a comment, or the payload of a callback; `values` are answers to fields. */
function bodyOf(question: Asked, answer: string, { text, values }: Omit<Given, "files">): Schemas["AnswerIn"] {
  const to = { node_id: question.node_id, answer, question: question.question };
  if (question.form != null) return { ...to, body: values, ...(text.trim() === "" ? {} : { comment: text }) };
  if (text.trim() === "") return to;
  return question.answers.length > 1 ? { ...to, comment: text } : { ...to, body: received(text) };
}

/** Parse the text as JSON; if that fails, return the text. */
function received(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Return the problems of the answers: those of fields, of files, and true if others remain. */
function faultsIn(error: unknown, { form, files }: Asked) {
  if (!(error instanceof ApiError)) return { ofFiles: {}, hasOthers: error !== null };
  const details = error.details.map((one) => ({ ...one, path: one.path.replace(/^body\b/, "input") }));
  const names = new Set(files.map((field) => `input.${field.name}`));
  const { errors, others } = faultsOfForm(
    details.filter((one) => !names.has(one.path)),
    (form ?? {}) as Record<string, Json>,
  );
  const ofFiles = details.filter((one) => names.has(one.path));
  return {
    errors,
    ofFiles: Object.fromEntries(ofFiles.map((one) => [one.path.slice("input.".length), one.message])),
    hasOthers: details.length === 0 || others.length > 0,
  };
}

/** Return true if another user answered first, or the time ran out. */
function isTaken(error: unknown): boolean {
  return error instanceof ApiError && error.status === 409;
}

function useAnswer({ run, question, onAnswered }: QuestionProps) {
  const client = useQueryClient();
  const [sending, setSending] = useState<string | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [part, setPart] = useState(0);

  async function send(name: string, given: Given) {
    const body = bodyOf(question, name, given);
    if (!question.has_files) {
      await server.POST("/api/runs/{run}/resume", { params: { path: { run } }, body });
      return;
    }
    const { sendFiles } = await import("./input/FileFields");
    await sendFiles(run, question, body, given.files, setPart);
  }

  async function answer(name: string, given: Given) {
    setSending(name);
    setError(null);
    setPart(0);
    try {
      await send(name, given);
      onAnswered?.(name);
    } catch (problem) {
      setError(problem);
      if (isTaken(problem)) notify.refused("Your answer was not accepted", problem);
    } finally {
      setSending(null);
      void client.invalidateQueries({
        predicate: ({ queryKey: [, path] }) => typeof path === "string" && path.startsWith("/api/runs"),
      });
    }
  }
  return { sending, part, error, answer };
}

export function Question(props: QuestionProps) {
  const { question } = props;
  const { may } = useSession();
  const { catalogue } = useCatalogue();
  const [text, setText] = useState("");
  const form = question.form ?? null;
  const [values, setValues] = useState<Record<string, Json>>(() =>
    form === null ? {} : (initialOf(form as FieldSchema) as Record<string, Json>),
  );
  const [files, setFiles] = useState<Chosen>({});
  const { sending, part, error, answer } = useAnswer(props);
  // Of a form with files only, nothing is left.
  const hasFields = form !== null && Object.keys((form as FieldSchema).properties ?? {}).length > 0;
  const mayAnswer = may("operator");
  const hasChoice = question.answers.length > 1;
  const isOver = isTaken(error);
  const faults = faultsIn(isOver ? null : error, question);

  return (
    <Stack gap="sm">
      <Text className={classes.text}>{question.text}</Text>
      <Quiet component="div">
        Requested by “{nameOfStep(question, catalogue)}” <Time at={question.asked_at} />
        {question.expires_at !== null && (
          <>
            , expires <Time at={question.expires_at} />
          </>
        )}
      </Quiet>
      {hasFields && (
        <Suspense fallback={<Loading label="Loading the form" />}>
          <InputForm schema={form as Record<string, Json>} value={values} errors={faults.errors} onChange={setValues} />
        </Suspense>
      )}
      {question.has_files && (
        <Suspense fallback={null}>
          <FileFields
            fields={question.files}
            chosen={files}
            problems={faults.ofFiles}
            disabled={!mayAnswer || isOver}
            onChange={setFiles}
          />
        </Suspense>
      )}
      {(form === null || hasChoice) && (
        <Textarea
          label={hasChoice ? "Comment" : "Payload"}
          description={hasChoice ? undefined : "Optional text or JSON"}
          placeholder={hasChoice ? "Optional" : undefined}
          autosize
          minRows={hasChoice ? 1 : 2}
          maxRows={8}
          maxLength={hasChoice ? LONGEST_COMMENT : undefined}
          value={text}
          disabled={!mayAnswer || isOver}
          onChange={(event) => setText(event.currentTarget.value)}
        />
      )}
      {isOver ? (
        <Alert color="gray" variant="light" icon={<IconInfoCircle aria-hidden />} title="Your answer was not accepted">
          {messageOf(error)}. The run's page shows who answered.
        </Alert>
      ) : (
        error !== null &&
        (faults.hasOthers ? (
          <Refused error={error} />
        ) : (
          <Alert color="red" variant="light" p="xs" role="alert">
            Correct the marked fields, then answer again.
          </Alert>
        ))
      )}
      {sending !== null && part > 0 && <Quiet role="status">Sending files: {Math.floor(part * 100)} %</Quiet>}
      <Tooltip label="Requires the operator role" disabled={mayAnswer}>
        <Group gap="sm" grow className={classes.answers}>
          {question.answers.map((name, at) => (
            <Button
              key={name}
              size="md"
              variant={at === 0 ? "filled" : "default"}
              disabled={!mayAnswer || isOver || (sending !== null && sending !== name)}
              loading={sending === name}
              onClick={() => void answer(name, { text, values, files })}
            >
              {verbOf(name)}
            </Button>
          ))}
        </Group>
      </Tooltip>
      <Quiet size="xs">Answers are final.</Quiet>
    </Stack>
  );
}

/** Show the answer in place of the question. */
export function Answered({ answer }: { answer: string }) {
  return (
    <Group gap="xs" wrap="nowrap" c="var(--success)" role="status">
      <IconCircleCheck size={22} aria-hidden style={{ flexShrink: 0 }} />
      <Text fw={600} c="inherit">
        You {pastOf(answer)}. The run continues.
      </Text>
    </Group>
  );
}
