/** Run an agent: a form for the task, the steps as they happen, the result. */

import {
  Accordion,
  Alert,
  Badge,
  Code,
  Collapse,
  Group,
  Loader,
  Select,
  SimpleGrid,
  Stack,
  Text,
  Textarea,
  TextInput,
} from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import {
  IconBrain,
  IconChevronDown,
  IconChevronRight,
  IconCircleX,
  IconFlag,
  IconPlayerPlay,
  IconPlayerStop,
  IconQuestionMark,
  IconTool,
} from "@tabler/icons-react";
import { type UseQueryResult, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { api, type Schemas, server } from "@/api/client";
import { CALM } from "@/api/queries";
import { useSession } from "@/app/session";
import { Button } from "@/ui/Button";
import { jsonOrText } from "@/ui/FormDialog";
import { type Fields, Form, useFields } from "@/ui/form";
import { count, duration, milliseconds } from "@/ui/format";
import { itemsOf, LoadMore, PAGED } from "@/ui/LoadMore";
import { Card } from "@/ui/Page";
import { Quiet } from "@/ui/Quiet";
import { StatusBadge } from "@/ui/StatusBadge";
import { Empty, LoadingRows, Refused } from "@/ui/states";
import { Time } from "@/ui/Time";
import classes from "./agents.module.css";

type AgentLog = Schemas["AgentLogOut"];

function isMoving(status: AgentLog["status"] | undefined): boolean {
  return status === "pending" || status === "running" || status === "waiting";
}

/** Fetch an agent run with its steps; poll while it is active, so that tool calls appear as they happen. */
function useAgentRun(id: string | null): UseQueryResult<AgentLog> {
  return useQuery({
    queryKey: ["agent run", id],
    enabled: id !== null,
    queryFn: async ({ signal }) => {
      const path = { agent_run: id ?? "" };
      const { data } = await server.GET("/api/agent/runs/{agent_run}", { params: { path }, signal });
      return data as AgentLog;
    },
    refetchInterval: (query) => {
      const status = query.state.data?.status;
      if (status === "waiting") return 3_000;
      return isMoving(status) ? 500 : false;
    },
  });
}

// The steps of an agent run: model responses and tool calls with their results.

type AgentStep = Schemas["AgentStepOut"];

function Dot({ step }: { step: AgentStep }) {
  if (step.status === "running") return <Loader size={14} />;
  if (step.status === "failed" || step.status === "refused")
    return <IconCircleX size={16} color="var(--failed)" aria-hidden />;
  if (step.status === "asking" || step.status === "waiting") {
    return <IconQuestionMark size={16} color="var(--waiting)" aria-hidden />;
  }
  const Icon = step.kind === "tool" ? IconTool : step.kind === "start" ? IconFlag : IconBrain;
  return <Icon size={16} color="var(--quiet)" aria-hidden />;
}

/** A JSON value or text in full, in a box that scrolls. */
function Value({ value }: { value: unknown }) {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  return (
    <Code block mah={320} style={{ overflow: "auto", whiteSpace: "pre-wrap", overflowWrap: "anywhere" }} tabIndex={0}>
      {text}
    </Code>
  );
}

function Called({ step }: { step: AgentStep }) {
  return (
    <Accordion
      variant="contained"
      chevronPosition="left"
      styles={{ control: { paddingBlock: 0 }, label: { paddingBlock: 8 } }}
    >
      <Accordion.Item value="call">
        <Accordion.Control>
          <Group gap="xs" wrap="nowrap">
            <Text size="sm" ff="monospace" fw={600}>
              {step.name}
            </Text>
            <Quiet size="xs" truncate flex={1}>
              {JSON.stringify(step.arguments)}
            </Quiet>
            {step.status !== "success" && (
              <Badge
                size="sm"
                variant="light"
                color={step.status === "failed" ? "red" : "orange"}
                tt="none"
                c="var(--mantine-color-text)"
              >
                {step.status}
              </Badge>
            )}
          </Group>
        </Accordion.Control>
        <Accordion.Panel>
          <Stack gap="xs">
            <Text size="xs" fw={600}>
              Arguments
            </Text>
            <Value value={step.arguments ?? null} />
            {step.result !== undefined && step.result !== null && (
              <>
                <Text size="xs" fw={600}>
                  Result
                </Text>
                <Value value={step.result} />
              </>
            )}
          </Stack>
        </Accordion.Panel>
      </Accordion.Item>
    </Accordion>
  );
}

function figures(step: AgentStep): string {
  const parts = [];
  if (step.input_tokens) parts.push(`${step.input_tokens} tokens in`);
  if (step.output_tokens) parts.push(`${step.output_tokens} out`);
  if (step.duration_us !== null) parts.push(duration(milliseconds(step.duration_us)));
  return parts.join(" · ");
}

const TITLES = { start: "Start", model: "Model", tool: "Tool" };

function AgentSteps({ steps }: { steps: AgentStep[] }) {
  return (
    <ol className={classes.steps} aria-label="Steps">
      {steps.map((step) => (
        <li key={step.seq} className={classes.step}>
          <span className={classes.dot}>
            <Dot step={step} />
          </span>
          <Stack gap={4}>
            <Group gap="xs">
              <Text size="sm" fw={600}>
                {step.kind === "tool" ? "Tool" : TITLES[step.kind]}
              </Text>
              <Quiet size="xs">{figures(step)}</Quiet>
            </Group>
            {step.kind === "tool" && <Called step={step} />}
            {step.text && step.kind === "model" && (
              <Text size="sm" className={classes.says}>
                {step.text}
              </Text>
            )}
            {step.error_text && (
              <Text size="sm" c="var(--failed)" className={classes.says}>
                {step.error_text}
              </Text>
            )}
          </Stack>
        </li>
      ))}
    </ol>
  );
}

/** The approval that an agent waits for. An answer applies to this question only. */
function AgentQuestion({ run }: { run: Schemas["AgentLogOut"] }) {
  const { may } = useSession();
  const client = useQueryClient();
  const [comment, setComment] = useState("");
  const answer = api.useMutation("post", "/api/runs/{run}/resume", {
    onSettled: () => client.invalidateQueries({ queryKey: ["agent run", run.id] }),
  });
  if (!run.question) return <Alert color="orange">{run.waiting}</Alert>;

  function give(word: "approved" | "rejected") {
    answer.mutate({
      params: { path: { run: run.run_id } },
      body: { node_id: run.node_id, answer: word, question: run.question, comment: comment || null },
    });
  }

  return (
    <Alert color="orange" title="Waiting for approval">
      <Stack gap="sm">
        <Text size="sm" style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>
          {run.waiting}
        </Text>
        <TextInput
          label="Comment"
          description="Sent to the agent if you reject"
          value={comment}
          onChange={(event) => setComment(event.currentTarget.value)}
        />
        <Group>
          <Button
            color="green.9"
            disabled={!may("operator")}
            loading={answer.isPending}
            onClick={() => give("approved")}
          >
            Approve
          </Button>
          <Button
            color="red.9"
            variant="outline"
            disabled={!may("operator")}
            loading={answer.isPending}
            onClick={() => give("rejected")}
          >
            Reject
          </Button>
        </Group>
        {answer.error && <Refused error={answer.error} />}
      </Stack>
    </Alert>
  );
}

/** The runs of an agent, newest first, each expandable to its steps. */
export function AgentLogs({ agentId }: { agentId: string }) {
  const query = api.useInfiniteQuery(
    "get",
    "/api/agent/logs",
    { params: { query: { agent_id: agentId, limit: 20 } } },
    { ...PAGED, refetchInterval: CALM },
  );
  if (query.isPending) return <LoadingRows />;
  if (query.data === undefined) return <Refused error={query.error} onRetry={() => void query.refetch()} />;
  const items = itemsOf(query.data);
  if (items.length === 0)
    return <Empty title="No runs yet" hint="Run the agent under “Try it”, or use it in a flow." />;
  return (
    <Stack>
      <Accordion variant="separated">
        {items.map((log) => (
          <Accordion.Item key={log.id} value={log.id} bg="var(--card)">
            <Accordion.Control>
              <Group gap="md" wrap="nowrap">
                <StatusBadge outcome={log.status} iconOnly />
                <Text size="sm" truncate flex={1}>
                  {log.task}
                </Text>
                <Quiet size="xs" visibleFrom="sm">
                  {duration(milliseconds(log.duration_us))}
                </Quiet>
                <Quiet size="xs">
                  <Time at={log.created_at} />
                </Quiet>
              </Group>
            </Accordion.Control>
            <Accordion.Panel>
              <Whole id={log.id} />
            </Accordion.Panel>
          </Accordion.Item>
        ))}
      </Accordion>
      <LoadMore query={query} noun="tasks" />
    </Stack>
  );
}

function Whole({ id }: { id: string }) {
  const { data: run, error } = useAgentRun(id);
  if (error) return <Refused error={error} />;
  if (!run) return <LoadingRows rows={3} />;
  return (
    <Stack gap="sm">
      <Text size="sm" style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>
        {run.task}
      </Text>
      {run.input !== null && run.input !== undefined && <Value value={run.input} />}
      <AgentSteps steps={run.steps} />
      {run.status === "success" && <Value value={run.data ?? run.text ?? ""} />}
      {run.error_text && (
        <Text size="sm" c="var(--failed)">
          {run.error_text}
        </Text>
      )}
    </Stack>
  );
}

interface Asked {
  task: string;
  input: string;
  session: string;
  model: string;
  credentials: Record<string, string>;
}

const NOTHING: Asked = { task: "", input: "", session: "", model: "", credentials: {} };

/** Parse the input as JSON; if that fails, return the text. */
function readInput(text: string): unknown {
  return text.trim() === "" ? null : jsonOrText(text);
}

function bodyOf(agentId: string, asked: Asked): Schemas["TaskIn"] {
  return {
    agent_id: agentId,
    task: asked.task,
    input: readInput(asked.input),
    session: asked.session || null,
    model: asked.model || null,
    credentials: asked.credentials,
    wait: 0,
    memory: null,
  };
}

export function TryOut({ agent }: { agent: Schemas["AgentOut"] }) {
  const { may } = useSession();
  const fields = useFields(NOTHING);
  const [runId, setRunId] = useState<string | null>(null);
  const start = api.useMutation("post", "/api/agent/run", { onSuccess: (run) => setRunId(run.id) });
  const cancel = api.useMutation("post", "/api/agent/runs/{agent_run}/cancel");
  const { data: run, error } = useAgentRun(runId);
  const moving = start.isPending || isMoving(run?.status);

  function submit() {
    setRunId(null);
    start.mutate({ body: bodyOf(agent.id, fields.values) });
  }

  return (
    <Stack>
      <Card>
        <Form onSubmit={submit}>
          <Stack gap="sm">
            <TaskFields agent={agent} fields={fields} />
            <Group>
              <Button
                type="submit"
                loading={start.isPending}
                disabled={moving || !may("operator")}
                icon={IconPlayerPlay}
              >
                Run
              </Button>
              {run && isMoving(run.status) && (
                <Button
                  variant="default"
                  icon={IconPlayerStop}
                  onClick={() => cancel.mutate({ params: { path: { agent_run: run.id } } })}
                >
                  Stop
                </Button>
              )}
              {!may("operator") && <Quiet>Requires the operator role.</Quiet>}
            </Group>
          </Stack>
        </Form>
        {start.error && <Refused error={start.error} />}
        {cancel.error && <Refused error={cancel.error} />}
      </Card>
      {error && run === undefined && <Refused error={error} />}
      {run && <Progress run={run} />}
    </Stack>
  );
}

function TaskFields({ agent, fields }: { agent: Schemas["AgentOut"]; fields: Fields<Asked> }) {
  const { values: asked, bind, set } = fields;
  const [more, { toggle }] = useDisclosure(agent.needs_credentials.length > 0);
  return (
    <>
      <Textarea
        label="Task"
        required
        autosize
        minRows={2}
        maxRows={8}
        placeholder="What should the agent do?"
        {...bind("task")}
      />
      <Textarea
        label="Input"
        description="Data for the task: text or JSON"
        autosize
        minRows={2}
        maxRows={12}
        {...bind("input")}
      />
      <Button
        variant="subtle"
        size="compact-sm"
        onClick={toggle}
        aria-expanded={more}
        style={{ alignSelf: "flex-start" }}
        leftSection={more ? <IconChevronDown size={14} aria-hidden /> : <IconChevronRight size={14} aria-hidden />}
      >
        Session, model and credentials
      </Button>
      <Collapse expanded={more}>
        <SimpleGrid cols={{ base: 1, sm: 2 }}>
          <TextInput label="Session" description="Tasks of the same session share their memory" {...bind("session")} />
          <TextInput label="Model" description="provider:name. Empty: the agent's model." {...bind("model")} />
          {agent.needs_credentials.map((tool) => (
            <CredentialOf
              key={tool}
              tool={tool}
              value={asked.credentials[tool] ?? null}
              onChange={(name) => set({ credentials: { ...asked.credentials, [tool]: name } })}
            />
          ))}
        </SimpleGrid>
      </Collapse>
    </>
  );
}

function CredentialOf({
  tool,
  value,
  onChange,
}: {
  tool: string;
  value: string | null;
  onChange: (name: string) => void;
}) {
  const { may } = useSession();
  const { data } = api.useQuery(
    "get",
    "/api/credentials",
    { params: { query: { limit: 200 } } },
    { enabled: may("editor") },
  );
  return (
    <Select
      label={`Credential for ${tool}`}
      description="The agent's definition has no credential for this tool"
      searchable
      data={data?.items.map((one) => one.name) ?? []}
      value={value}
      onChange={(name) => name !== null && onChange(name)}
      nothingFoundMessage="No matching credential"
    />
  );
}

function counted(number: number, noun: string): string {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

function Progress({ run }: { run: Schemas["AgentLogOut"] }) {
  const { usage } = run;
  const figures = [
    `${counted(usage.requests, "request")} to ${run.model ?? "the model"}`,
    counted(usage.tool_calls, "tool call"),
    counted(usage.input_tokens + usage.output_tokens, "token"),
  ];
  // Self-hosted and test models cost nothing.
  if (usage.cost !== null && usage.cost > 0)
    figures.push(usage.cost < 0.0001 ? "less than $0.0001" : `about $${usage.cost.toFixed(4)}`);
  if (run.duration_us !== null) figures.push(duration(milliseconds(run.duration_us)));
  return (
    <Card
      title={isMoving(run.status) ? "Running" : run.status === "success" ? "Done" : "Failed"}
      actions={
        <Button component={Link} href={`/runs/${run.run_id}`} variant="subtle" size="compact-sm">
          Open run
        </Button>
      }
    >
      <Stack>
        <Quiet>{figures.join(" · ")}</Quiet>
        <AgentSteps steps={run.steps} />
        {run.status === "waiting" && <AgentQuestion run={run} />}
        <div role="status" aria-live="polite">
          {run.status === "success" && <Value value={run.data ?? run.text ?? ""} />}
        </div>
        {run.status === "failed" && (
          <Alert color="red" title="The agent failed">
            {run.error_text}
          </Alert>
        )}
      </Stack>
    </Card>
  );
}
