/**
 * The form of an agent's definition: instructions, tools and limits. Built-in agents are read-only and can be copied.
 */
import {
  Alert,
  Button,
  Group,
  InputWrapper,
  Select,
  SimpleGrid,
  Stack,
  Switch,
  Textarea,
  TextInput,
} from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useState } from "react";
import { useLocation } from "wouter";
import { api, type Schemas, server } from "@/api/client";
import { useReload } from "@/api/queries";
import { useSession } from "@/app/session";
import { CodeEditor } from "@/ui/CodeEditor";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { type Fields, Form, useAttempt, useFields } from "@/ui/form";
import { Card } from "@/ui/Page";
import { Refused } from "@/ui/states";
import { type AgentDraft, bodyOf, draftOf } from "./draft";

type Agent = Schemas["AgentOut"];
type Issue = Schemas["Detail"];

const JSON_FIELDS = [
  {
    key: "tools",
    label: "Tools",
    hint: 'A JSON list, for example "http", "memory", {"type": "http", "hosts": ["api.example.com"], "approval": true}',
  },
  {
    key: "limits",
    label: "Limits",
    hint: "A JSON object: steps, tokens, seconds, cost. Empty: default limits.",
  },
  {
    key: "output_schema",
    label: "Output schema",
    hint: "JSON Schema of an object. Empty: the result is text.",
  },
  {
    key: "approval",
    label: "Approval",
    hint: "A JSON object: notify (a credential to notify) and timeout (seconds).",
  },
] as const;

export function AgentDefinition({ agent }: { agent: Agent | null }) {
  const { may } = useSession();
  const fields = useFields(draftOf(agent));
  const { values: draft, bind } = fields;
  const readOnly = !may("editor") || agent?.builtin === true;
  const { save, check, issues, error, busy } = useSaving(agent, draft);

  return (
    <Card>
      <Form onSubmit={save}>
        <Stack>
          {agent?.builtin && (
            <Alert color="blue">
              This agent is built in and cannot be changed. Duplicate it to make your own version.
            </Alert>
          )}
          <MainFields fields={fields} readOnly={readOnly} />
          {JSON_FIELDS.map(({ key, label, hint }) => (
            <InputWrapper key={key} label={label} description={hint} labelElement="div">
              <CodeEditor
                label={label}
                language="json"
                minHeight={key === "tools" ? 90 : 40}
                maxHeight="40vh"
                readOnly={readOnly}
                {...bind(key)}
              />
            </InputWrapper>
          ))}
          {error !== null && <Refused error={error} />}
          <Issues issues={issues} />
          <Actions agent={agent} readOnly={readOnly} busy={busy} onCheck={check} />
        </Stack>
      </Form>
    </Card>
  );
}

function useSaving(agent: Agent | null, draft: AgentDraft) {
  const reload = useReload("/api/agents", "/api/agents/{name}");
  const [, go] = useLocation();
  const [issues, setIssues] = useState<Issue[] | null>(null);
  const { busy, error, attempt } = useAttempt();

  const save = () =>
    attempt(async () => {
      const body = bodyOf(draft);
      const id =
        agent === null
          ? (await server.POST("/api/agents", { body })).data?.id
          : (
              await server.PUT("/api/agents/{name}", {
                params: { path: { name: agent.id } },
                body: { ...body, updated_at: agent.updated_at } as Schemas["AgentChange"],
              })
            ).data?.id;
      await reload();
      if (agent === null && id) go(`/agents/${id}?tab=try`);
    });

  const check = () =>
    attempt(async () => {
      const { data } = await server.POST("/api/agents/validate", { body: { definition: bodyOf(draft) } });
      setIssues(data?.issues ?? []);
    });

  return { save, check, issues, error, busy };
}

function MainFields({ fields, readOnly }: { fields: Fields<AgentDraft>; readOnly: boolean }) {
  const { values: draft, bind, set } = fields;
  const { may } = useSession();
  const { data } = api.useQuery(
    "get",
    "/api/credentials",
    { params: { query: { limit: 200 } } },
    { enabled: may("editor") },
  );
  const models = data?.items.filter((one) => one.type === "llm").map((one) => one.name) ?? [];
  return (
    <>
      <TextInput label="Name" required readOnly={readOnly} {...bind("name")} />
      <TextInput label="Description" readOnly={readOnly} {...bind("description")} />
      <Textarea
        label="Instructions"
        description="The tasks of the agent, and rules for them. The tools are described to it automatically."
        required
        autosize
        minRows={4}
        maxRows={20}
        readOnly={readOnly}
        {...bind("instructions")}
      />
      <SimpleGrid cols={{ base: 1, sm: 2 }}>
        <TextInput
          label="Model"
          description="As provider:name. Leave empty for the default model."
          readOnly={readOnly}
          {...bind("model")}
        />
        <Select
          label="Credential"
          description="A credential for language models. Leave empty for the server's key."
          clearable
          allowDeselect
          readOnly={readOnly}
          data={draft.credential && !models.includes(draft.credential) ? [...models, draft.credential] : models}
          value={draft.credential || null}
          onChange={(name) => set({ credential: name ?? "" })}
        />
      </SimpleGrid>
      <Switch
        label="Include relevant memories in the prompt"
        checked={draft.memory}
        disabled={readOnly}
        onChange={(event) => set({ memory: event.currentTarget.checked })}
      />
    </>
  );
}

function Issues({ issues }: { issues: Issue[] | null }) {
  if (issues === null) return null;
  if (issues.length === 0) return <Alert color="green">No problems found.</Alert>;
  return (
    <Alert color={issues.some((issue) => issue.level !== "warning") ? "red" : "orange"} title="Problems">
      {issues.map((issue) => (
        <div key={`${issue.path} ${issue.message}`}>
          {issue.path}: {issue.message}
        </div>
      ))}
    </Alert>
  );
}

function Actions(props: { agent: Agent | null; readOnly: boolean; busy: boolean; onCheck: () => void }) {
  const { agent, readOnly, busy, onCheck } = props;
  const { may } = useSession();
  const [asked, asking] = useDisclosure(false);
  const [, go] = useLocation();
  const reload = useReload("/api/agents");

  async function copy() {
    if (agent === null) return;
    const body = { ...bodyOf(draftOf(agent)), name: `${agent.name} (copy)` };
    const { data } = await server.POST("/api/agents", { body });
    await reload();
    if (data) go(`/agents/${data.id}?tab=definition`);
  }

  async function remove() {
    if (agent === null) return;
    await server.DELETE("/api/agents/{name}", { params: { path: { name: agent.id } } });
    await reload();
    go("/agents");
  }

  if (!may("editor")) return null;
  return (
    <Group>
      {!readOnly && (
        <>
          <Button type="submit" loading={busy}>
            Save
          </Button>
          <Button variant="default" onClick={onCheck}>
            Validate
          </Button>
        </>
      )}
      {agent !== null && (
        <Button variant={readOnly ? "filled" : "default"} onClick={() => void copy()}>
          Duplicate
        </Button>
      )}
      {agent !== null && !readOnly && (
        <>
          <Button variant="subtle" color="red" onClick={asking.open}>
            Delete
          </Button>
          <ConfirmDialog
            opened={asked}
            onClose={asking.close}
            title={`Delete agent “${agent.name}”?`}
            action="Delete"
            danger
            onConfirm={remove}
          >
            Its runs and its memory are kept.
          </ConfirmDialog>
        </>
      )}
    </Group>
  );
}
