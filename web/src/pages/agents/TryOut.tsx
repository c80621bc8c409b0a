/** Run an agent: a form for the task, the steps as they happen, the result. */
import {
  Alert,
  Button,
  Collapse,
  Group,
  Select,
  SimpleGrid,
  Stack,
  Text,
  Textarea,
  TextInput,
} from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconChevronDown, IconChevronRight, IconPlayerPlay, IconPlayerStop } from "@tabler/icons-react";
import { type FormEvent, useState } from "react";
import { Link } from "wouter";
import { api, type Schemas } from "@/api/client";
import { useSession } from "@/app/session";
import { count, duration, milliseconds } from "@/ui/format";
import { Card } from "@/ui/Page";
import { Refused } from "@/ui/states";
import { type Fields, jsonOrText, useFields } from "@/ui/useForm";
import { AgentQuestion } from "./AgentQuestion";
import { AgentSteps, Value } from "./AgentSteps";
import { isMoving, useAgentRun } from "./useAgentRun";

interface Asked {
  task: string;
  input: string;
  session: string;
  model: string;
  credentials: Record<string, string>;
}

const NOTHING: Asked = { task: "", input: "", session: "", model: "", credentials: {} };

/** Parse the input as JSON; if that fails, return the text. */
export function readInput(text: string): unknown {
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

  function submit(event: FormEvent) {
    event.preventDefault();
    setRunId(null);
    start.mutate({ body: bodyOf(agent.id, fields.values) });
  }

  return (
    <Stack>
      <Card>
        <form onSubmit={submit}>
          <Stack gap="sm">
            <TaskFields agent={agent} fields={fields} />
            <Group>
              <Button
                type="submit"
                loading={start.isPending}
                disabled={moving || !may("operator")}
                leftSection={<IconPlayerPlay size={16} aria-hidden />}
              >
                Run
              </Button>
              {run && isMoving(run.status) && (
                <Button
                  variant="default"
                  leftSection={<IconPlayerStop size={16} aria-hidden />}
                  onClick={() => cancel.mutate({ params: { path: { agent_run: run.id } } })}
                >
                  Stop
                </Button>
              )}
              {!may("operator") && (
                <Text size="sm" c="var(--quiet)">
                  Requires the operator role.
                </Text>
              )}
            </Group>
          </Stack>
        </form>
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
        leftSection={
          more ? <IconChevronDown size={14} aria-hidden /> : <IconChevronRight size={14} aria-hidden />
        }
      >
        Session, model and credentials
      </Button>
      <Collapse expanded={more}>
        <SimpleGrid cols={{ base: 1, sm: 2 }}>
          <TextInput
            label="Session"
            description="Tasks of the same session share their memory"
            {...bind("session")}
          />
          <TextInput
            label="Model"
            description="provider:name. Empty: the agent's model."
            {...bind("model")}
          />
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
        <Text size="sm" c="var(--quiet)">
          {figures.join(" · ")}
        </Text>
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
