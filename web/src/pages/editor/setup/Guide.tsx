/** The set-up of a flow made from a template, step by step and without the canvas. */

import { Alert, Anchor, Button, Group, Stack, Text, Title, UnstyledButton } from "@mantine/core";
import { IconArrowLeft, IconCircleCheckFilled } from "@tabler/icons-react";
import { Suspense, useEffect, useMemo, useState } from "react";
import { Link, useLocation } from "wouter";
import { ApiError } from "@/api/client";
import { useCredentials } from "@/api/credentials";
import type { FlowNode, Json } from "@/definition/types";
import { nameOf } from "@/graph/nameOf";
import { hasEnded } from "@/runs/values";
import { JsonView } from "@/ui/CodeEditor";
import { lazily } from "@/ui/lazily";
import { useQueryState } from "@/ui/listState";
import { NodeIcon } from "@/ui/NodeIcon";
import { Page } from "@/ui/Page";
import { Quiet } from "@/ui/Quiet";
import { StatusBadge } from "@/ui/StatusBadge";
import { LoadingRows, Refused } from "@/ui/states";
import { useEditor, useEditorStore } from "../context";
import Addresses from "../panel/Addresses";
import { startsOf, withPath } from "../panel/starts";
import { checkOf, inWords } from "../problems";
import { useEditorRun } from "../run/useEditorRun";
import { Bars } from "../saving/Bars";
import { useSaver } from "../saving/useSaving";
import { isUnpublished } from "../store";
import { type SetupState, TaskBody, useSetup } from "./Setup";
import classes from "./setup.module.css";
import { accountsOf, type Task } from "./tasks";

const NodeFormBody = lazily(() => import("@/forms/NodeFormBody"));

interface Step {
  id: string;
  title: string;
  kinds: readonly Task["kind"][];
  Content: (props: { setup: SetupState }) => React.ReactNode;
}

const CHOICES: readonly Task["kind"][] = ["choose", "variable", "setting"];
const STEPS: readonly Step[] = [
  { id: "accounts", title: "Connect accounts", kinds: ["credential"], Content: Accounts },
  { id: "choices", title: "Choose what is yours", kinds: CHOICES, Content: Choices },
  { id: "test", title: "Test", kinds: ["run"], Content: Test },
  { id: "start", title: "Switch on", kinds: ["activate"], Content: SwitchOn },
];
const AT = { step: "" };

export function Guide() {
  const setup = useSetup();
  const { id, name } = useEditor((state) => state.flow);
  const description = useEditor((state) => state.definition.settings?.description);
  useAddresses();
  return (
    <Page title={name} about={description} above={{ path: "/flows", label: "Flows" }} width={760}>
      <Bars />
      {setup === undefined ? <LoadingRows rows={4} /> : <Steps setup={setup} flowId={id} />}
    </Page>
  );
}

/** Give the triggers an address; nobody can guess that for a service. */
function useAddresses(): void {
  const store = useEditorStore();
  const nodes = useEditor((state) => state.definition.nodes);
  const catalogue = useEditor((state) => state.catalogue);
  const name = useEditor((state) => state.flow.name);
  const readOnly = useEditor((state) => state.readOnly);
  useEffect(() => {
    if (readOnly) return;
    for (const node of nodes) {
      const made = withPath(node, catalogue?.find(node.type), name);
      if (made !== node) store.getState().setConfig(node.id, made.config ?? {});
    }
  }, [store, nodes, catalogue, name, readOnly]);
}

function Steps({ setup, flowId }: { setup: SetupState; flowId: string }) {
  const { values, change } = useQueryState(AT);
  const saver = useSaver();
  const [, go] = useLocation();
  const tasksIn = ({ kinds }: Step) => setup.tasks.filter((task) => kinds.includes(task.kind));
  const steps = STEPS.filter((step) => tasksIn(step).length > 0);
  const found = steps.findIndex((step) => step.id === values.step);
  const at = Math.max(found, 0);
  const step = steps[at];
  if (step === undefined) return null;
  const show = (index: number) => change({ step: steps[index]?.id ?? "" });
  const next = steps[at + 1];
  return (
    <>
      <nav aria-label="Steps">
        <ol className={classes.steps}>
          {steps.map((one, index) => (
            <li key={one.id}>
              <UnstyledButton
                className={classes.step}
                aria-current={index === at ? "step" : undefined}
                onClick={() => show(index)}
              >
                {tasksIn(one).every((task) => task.done) ? (
                  <IconCircleCheckFilled size={18} color="var(--success)" role="img" aria-label="Done" />
                ) : (
                  <span aria-hidden>{index + 1}</span>
                )}
                {one.title}
              </UnstyledButton>
            </li>
          ))}
        </ol>
      </nav>
      <Title order={2}>{step.title}</Title>
      <step.Content setup={setup} />
      <Group justify="space-between">
        <Group gap="xs">
          {at > 0 && (
            <Button
              variant="default"
              leftSection={<IconArrowLeft size={16} aria-hidden />}
              onClick={() => show(at - 1)}
            >
              Back
            </Button>
          )}
          <Button variant="subtle" onClick={() => void saver.saveNow().then(() => go(`/flows/${flowId}`))}>
            Open in editor
          </Button>
        </Group>
        {next !== undefined && <Button onClick={() => show(at + 1)}>Next: {next.title.toLowerCase()}</Button>}
      </Group>
    </>
  );
}

interface FormProps {
  node: FlowNode;
  /** The settings to show. */
  only: readonly string[];
  /** Values that are shown in place of those of the node. */
  shown?: Record<string, Json | undefined>;
  onChange: (config: Record<string, Json>) => void;
}

/** Some settings of a node, in the fields that its form in the editor has. */
function Form({ node, only, shown, onChange }: FormProps) {
  const flowId = useEditor((state) => state.flow.id);
  const definition = useEditor((state) => state.definition);
  const type = useEditor((state) => state.catalogue?.find(node.type));
  const all = useEditor((state) => state.check?.problems);
  const context = useMemo(() => ({ flowId, definition, nodeId: node.id }), [flowId, definition, node.id]);
  const value = useMemo(() => {
    const given = Object.entries({ ...node.config, ...shown }).filter(([, one]) => one !== undefined);
    return Object.fromEntries(given) as Record<string, Json>;
  }, [node.config, shown]);
  // What is not chosen yet is no mistake.
  const problems = all?.filter(
    ({ nodeId, field }) => nodeId === node.id && only.some((key) => field === `config.${key}` && key in value),
  );
  if (type === undefined) return null;
  return (
    <Suspense fallback={<LoadingRows rows={1} />}>
      <NodeFormBody type={type} value={value} context={context} only={only} problems={problems} onChange={onChange} />
    </Suspense>
  );
}

/** The name of a node or an account, with the mark of its service. */
function Heading({ node, title, about }: { node: FlowNode; title: string; about?: string }) {
  const type = useEditor((state) => state.catalogue?.find(node.type));
  return (
    <Group gap="xs" wrap="nowrap">
      <NodeIcon type={type} size={28} />
      <div>
        <Title order={3}>{title}</Title>
        {about && <Quiet size="xs">{about}</Quiet>}
      </div>
    </Group>
  );
}

function Accounts({ setup }: { setup: SetupState }) {
  const store = useEditorStore();
  const definition = useEditor((state) => state.definition);
  const catalogue = useEditor((state) => state.catalogue);
  const { data: credentials } = useCredentials();
  const accounts = catalogue === undefined ? [] : accountsOf(definition, catalogue);
  function choose(uses: (typeof accounts)[number]["uses"], name: string) {
    for (const { node, key } of uses) store.getState().setConfig(node.id, { ...node.config, [key]: name });
  }
  return (
    <Stack gap="lg">
      {accounts.map(({ name, uses }, index) => {
        const [first] = uses;
        if (first === undefined) return null;
        const { node, key } = first;
        const isKnown = credentials?.some((one) => one.name === name) ?? false;
        const names = uses.map((use) => nameOf(use.node, catalogue?.find(use.node.type)));
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: the name changes when another account is chosen
          <Stack key={index} gap={6}>
            <Heading
              node={node}
              title={catalogue?.find(node.type)?.service?.name ?? name}
              about={`For ${names.join(", ")}`}
            />
            <Form
              node={node}
              only={[key]}
              shown={isKnown ? undefined : { [key]: undefined }}
              onChange={(config) => typeof config[key] === "string" && choose(uses, config[key])}
            />
          </Stack>
        );
      })}
      {setup.needs.length > 0 && <Quiet>This flow also needs: {setup.needs.join(", ")}.</Quiet>}
    </Stack>
  );
}

function Choices({ setup }: { setup: SetupState }) {
  const store = useEditorStore();
  const nodes = useEditor((state) => state.definition.nodes);
  const vars = useEditor((state) => state.definition.settings?.vars);
  const asked = setup.tasks.map((task) => task.id);
  const others = Object.entries(vars ?? {}).filter(
    ([name, value]) => ["string", "number"].includes(typeof value) && !asked.includes(`variable ${name}`),
  );
  return (
    <Stack gap="lg">
      {setup.tasks.map((task) => {
        if (task.kind === "variable" || task.kind === "setting") return <TaskBody key={task.id} task={task} />;
        const node = task.kind === "choose" ? nodes.find((one) => one.id === task.nodeId) : undefined;
        if (task.kind !== "choose" || node === undefined) return null;
        return (
          <Stack key={task.id} gap={6}>
            <Heading node={node} title={task.node} />
            <Form node={node} only={task.keys} onChange={(config) => store.getState().setConfig(node.id, config)} />
          </Stack>
        );
      })}
      {others.map(([name]) => (
        <TaskBody key={name} task={{ id: name, kind: "variable", name, value: "", done: true }} />
      ))}
    </Stack>
  );
}

/** Why the server refused to run the flow or to switch it on: the problems by node. */
function Faults({ error }: { error: unknown }) {
  const definition = useEditor((state) => state.definition);
  const catalogue = useEditor((state) => state.catalogue);
  const problems = error instanceof ApiError ? checkOf(definition, error.details, {}, catalogue).problems : [];
  if (problems.length === 0) return <Refused error={error} />;
  const nameIn = (id: string | null) => {
    const node = definition.nodes.find((one) => one.id === id);
    return node === undefined ? "Flow" : nameOf(node, catalogue?.find(node.type));
  };
  return (
    <Alert color="red" variant="light" title="Some settings are missing or wrong" role="alert">
      {problems.map((problem) => (
        <Text key={`${problem.path} ${problem.message}`} size="sm">
          <b>{nameIn(problem.nodeId)}</b>: {inWords(problem)}
        </Text>
      ))}
    </Alert>
  );
}

function Test({ setup }: { setup: SetupState }) {
  const nodes = useEditor((state) => state.definition.nodes);
  const catalogue = useEditor((state) => state.catalogue);
  const { run, states, going, refusal, start } = useEditorRun();
  const sample = (setup.template?.sample_input ?? null) as Json;
  const isOver = run !== undefined && hasEnded(run) && !going;
  return (
    <Stack>
      <Text size="sm">
        Runs the flow once with the sample below. It calls your accounts: messages are sent, and rows are written.
      </Text>
      <Group>
        <Button variant={isOver ? "default" : "filled"} loading={going} onClick={() => void start({ input: sample })}>
          {isOver ? "Run again" : "Run with the sample"}
        </Button>
        {isOver && (
          <Anchor component={Link} href={`/runs/${run.id}`} size="sm">
            Open run
          </Anchor>
        )}
      </Group>
      {refusal !== null && <Faults error={refusal} />}
      {run !== undefined && refusal === null && (
        <ol className={classes.tasks} aria-label="Outcome of each step">
          {nodes.map((node) => {
            const state = states.get(node.id);
            return (
              <li key={node.id} className={classes.task}>
                <NodeIcon type={catalogue?.find(node.type)} size={22} />
                <Stack gap={2} miw={0} flex={1}>
                  <Text size="sm">{nameOf(node, catalogue?.find(node.type))}</Text>
                  {state?.error && (
                    <Text size="sm" c="var(--failed)" className={classes.where}>
                      {state.error}
                    </Text>
                  )}
                </Stack>
                {state === undefined ? isOver && <Quiet>Not executed</Quiet> : <StatusBadge outcome={state.outcome} />}
              </li>
            );
          })}
        </ol>
      )}
      <JsonView value={sample} label="Sample" maxHeight="260px" />
    </Stack>
  );
}

function SwitchOn({ setup }: { setup: SetupState }) {
  const saver = useSaver();
  const flowId = useEditor((state) => state.flow.id);
  const definition = useEditor((state) => state.definition);
  const catalogue = useEditor((state) => state.catalogue);
  const isActive = useEditor((state) => state.flow.status === "active" && !isUnpublished(state));
  const [isBusy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState<unknown>(null);
  const starts = startsOf(definition, catalogue);
  const left = setup.tasks.filter((task) => !task.done && task.kind !== "activate" && task.kind !== "run");
  async function switchOn() {
    setBusy(true);
    setRefusal(null);
    await saver.publish({ activate: true }).catch(setRefusal);
    setBusy(false);
  }
  if (isActive) {
    return (
      <Alert color="green" variant="light" title="The flow is active" role="status">
        <Group gap="md">
          <Anchor component={Link} href={`/runs?flow=${flowId}`} size="sm">
            Its runs
          </Anchor>
          <Anchor component={Link} href="/flows" size="sm">
            All flows
          </Anchor>
        </Group>
      </Alert>
    );
  }
  return (
    <Stack>
      {starts.map((start) => (
        <Stack key={start.node.id} gap={6}>
          <Heading node={start.node} title={start.name} about={start.brief || start.about} />
          {start.node.config?.account === undefined && <Addresses node={start.node} />}
        </Stack>
      ))}
      {left.length > 0 && <Quiet>Some steps are not done yet. You can switch the flow on when they are.</Quiet>}
      {refusal !== null && <Faults error={refusal} />}
      <Group>
        <Button loading={isBusy} onClick={() => void switchOn()}>
          Switch on
        </Button>
      </Group>
    </Stack>
  );
}
