/** The set-up of a flow made from a template: credentials, addresses, a first run, activation. */

import { Anchor, Button, CloseButton, Group, Progress, Stack, Text, TextInput, Title } from "@mantine/core";
import { IconCircle, IconCircleCheckFilled } from "@tabler/icons-react";
import { type ReactNode, Suspense, useMemo, useState } from "react";
import { Link } from "wouter";
import { api } from "@/api/client";
import { useCredentials } from "@/api/credentials";
import { CALM } from "@/api/queries";
import { useSession } from "@/app/session";
import { readDefinition } from "@/definition/read";
import type { Json } from "@/definition/types";
import { type Template, useTemplates } from "@/pages/templates/templates";
import { lazily } from "@/ui/lazily";
import { Quiet } from "@/ui/Quiet";
import { LoadingRows } from "@/ui/states";
import { useEditor, useEditorStore } from "../context";
import { startsOf } from "../panel/starts";
import { useDismissed } from "./dismissed";
import classes from "./setup.module.css";
import { type Origin, type Task, tasksOf } from "./tasks";

export interface SetupState {
  tasks: readonly Task[];
  done: number;
  /** Other requirements of the template, such as a language model. */
  needs: readonly string[];
  dismiss: () => void;
  /** The template, if it is known to this server. */
  template: Template | undefined;
}

const NO_PROBLEMS: readonly never[] = [];

/** Return the remaining tasks; undefined while they are unknown. */
export function useSetup(): SetupState | undefined {
  const { user } = useSession();
  const { id: flowId, status } = useEditor((state) => state.flow);
  const definition = useEditor((state) => state.definition);
  const catalogue = useEditor((state) => state.catalogue);
  const problems = useEditor((state) => state.check?.problems) ?? NO_PROBLEMS;
  const [, dismiss] = useDismissed(user.id, flowId);
  const { data: credentials } = useCredentials();
  const { data: templates, error } = useTemplates();
  const { data: runs } = api.useQuery(
    "get",
    "/api/runs",
    { params: { query: { workflow_id: flowId, status: "success", limit: 1, brief: true } } },
    { refetchInterval: (query) => (query.state.data?.items.length ? false : CALM) },
  );
  const template = templates?.items.find((one) => one.id === definition.settings?.template);
  const tasks = useMemo(() => {
    if (catalogue === undefined || credentials === undefined || runs === undefined) return undefined;
    if (templates === undefined && error === null) return undefined;
    return tasksOf({
      definition,
      catalogue,
      origin: template && {
        definition: readDefinition(template.definition),
        credentials: template.credentials,
        choose: template.choose as Origin["choose"],
      },
      credentials,
      problems,
      hasRun: runs.items.length > 0,
      isActive: status === "active",
      starts: startsOf(definition, catalogue).some((start) => start.node.type !== MANUAL),
    });
  }, [definition, catalogue, credentials, runs, templates, template, error, problems, status]);
  if (tasks === undefined) return undefined;
  const done = tasks.filter((task) => task.done).length;
  return { tasks, done, needs: template?.needs ?? [], dismiss, template };
}

/** A flow that people start needs no activation. */
const MANUAL = "manual";

const CredentialDialog = lazily(() =>
  import("@/forms/credentials/CredentialDialog").then((part) => ({ default: part.CredentialDialog })),
);

export function Setup() {
  const setup = useSetup();
  const flowId = useEditor((state) => state.flow.id);
  if (setup === undefined) return <LoadingRows rows={3} />;
  const { tasks, done, needs, dismiss } = setup;
  const isReady = done === tasks.length;
  return (
    <section className={classes.setup} aria-labelledby="setup-title">
      <Group justify="space-between" wrap="nowrap">
        <Title order={2} size="h3" id="setup-title">
          {isReady ? "Set up" : "Set up this flow"}
        </Title>
        <CloseButton aria-label="Dismiss the set-up" title="Dismiss" onClick={dismiss} />
      </Group>
      <Group gap="xs" wrap="nowrap">
        <Progress value={(100 * done) / tasks.length} size="sm" flex={1} aria-hidden />
        <Quiet size="xs" role="status">
          {done} of {tasks.length} done
        </Quiet>
      </Group>
      {!isReady && (
        <Anchor component={Link} href={`/flows/${flowId}/setup`} size="xs">
          Set up step by step
        </Anchor>
      )}
      {needs.length > 0 && <Quiet size="xs">This flow also needs: {needs.join(", ")}.</Quiet>}
      <ul className={classes.tasks}>
        {tasks.map((task) => (
          <li key={task.id} className={classes.task}>
            {task.done ? (
              <IconCircleCheckFilled size={18} color="var(--success)" role="img" aria-label="Done" />
            ) : (
              <IconCircle size={18} color="var(--quiet)" role="img" aria-label="Open" />
            )}
            <TaskBody task={task} />
          </li>
        ))}
      </ul>
      {isReady && (
        <Button size="xs" variant="default" onClick={dismiss}>
          Finish
        </Button>
      )}
    </section>
  );
}

export function TaskBody({ task }: { task: Task }) {
  switch (task.kind) {
    case "credential":
      return <CredentialTask task={task} />;
    case "choose":
      return (
        <Words title={`Choose ${task.node}`} done={task.done}>
          {!task.done && <GoTo nodeId={task.nodeId} field={`config.${task.keys[0]}`} about="" />}
        </Words>
      );
    case "variable":
      return <VariableTask key={task.id} task={task} />;
    case "setting":
      return (
        <Words title={`Set ${task.field.replace(/^config\./, "")} of “${task.node}”`} done={task.done}>
          {!task.done && <GoTo nodeId={task.nodeId} field={task.field} about={task.value} />}
        </Words>
      );
    case "problem":
      return (
        <Words title={`Fix “${task.node}”`} done={task.done}>
          <GoTo nodeId={task.nodeId} field={task.field} about={task.message} />
        </Words>
      );
    case "run":
      return <RunTask done={task.done} />;
    case "activate":
      return (
        <Words title="Activate it" done={task.done}>
          {!task.done && "The switch Active lets its triggers start runs."}
        </Words>
      );
  }
}

function Words({ title, done, children }: { title: string; done: boolean; children?: ReactNode }) {
  return (
    <Stack gap={2} miw={0} flex={1}>
      <Text size="sm" fw={550} c={done ? "var(--quiet)" : undefined}>
        {title}
      </Text>
      {children && (
        <Quiet size="xs" component="div">
          {children}
        </Quiet>
      )}
    </Stack>
  );
}

function GoTo({ nodeId, field, about }: { nodeId: string | null; field: string | null; about: string }) {
  const store = useEditorStore();
  if (nodeId === null) return about;
  return (
    <Anchor
      component="button"
      type="button"
      size="xs"
      ta="left"
      className={classes.where}
      onClick={() => store.getState().goTo(nodeId, field)}
    >
      {about || "Open the node"}
    </Anchor>
  );
}

function CredentialTask({ task }: { task: Extract<Task, { kind: "credential" }> }) {
  const [isMaking, setMaking] = useState(false);
  return (
    <Words title={`Credential “${task.name}”`} done={task.done}>
      {task.purpose && <div>For {task.purpose}</div>}
      {!task.done && (
        <Button size="compact-xs" variant="default" mt={4} onClick={() => setMaking(true)}>
          Create credential
        </Button>
      )}
      {isMaking && (
        <Suspense fallback={null}>
          <CredentialDialog
            only={task.types}
            suggestedName={task.name}
            onClose={() => setMaking(false)}
            onDone={() => setMaking(false)}
          />
        </Suspense>
      )}
    </Words>
  );
}

/** A variable, such as one with an example's address: text and numbers are replaced here, others in the variables. */
function VariableTask({ task }: { task: Extract<Task, { kind: "variable" }> }) {
  const store = useEditorStore();
  const value = useEditor((state) => state.definition.settings?.vars?.[task.name]);
  const [text, setText] = useState(typeof value === "string" || typeof value === "number" ? String(value) : null);
  if (text === null) {
    return (
      <Words title={`Variable “${task.name}”`} done={task.done}>
        {!task.done && `Replace ${task.value} in the variables below.`}
      </Words>
    );
  }
  function save() {
    const vars = store.getState().definition.settings?.vars ?? {};
    if (text === null || text === String(vars[task.name])) return;
    const next: Json = typeof value === "number" && text.trim() !== "" && Number.isFinite(+text) ? +text : text;
    store.getState().setSettings({ vars: { ...vars, [task.name]: next } });
  }
  return (
    <TextInput
      flex={1}
      size="xs"
      label={`Variable “${task.name}”`}
      description={task.done ? undefined : "Replace the example by your own value."}
      value={text}
      onChange={(event) => setText(event.currentTarget.value)}
      onBlur={save}
      onKeyDown={(event) => event.key === "Enter" && save()}
    />
  );
}

function RunTask({ done }: { done: boolean }) {
  const run = useEditor((state) => state.run);
  return (
    <Words title="Try it" done={done}>
      {!done && (
        <>
          <div>Run it once and look at the result.</div>
          <Button size="compact-xs" variant="default" mt={4} onClick={() => run?.()}>
            Run the flow
          </Button>
        </>
      )}
    </Words>
  );
}
