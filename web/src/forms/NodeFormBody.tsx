/** The settings of one node. Loaded with the first form. */

import { Alert, Box, Stack, Text } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { type ReactNode, Suspense, useCallback, useEffect, useMemo, useState } from "react";
import type { NodeType } from "@/api/catalogue";
import { api } from "@/api/client";
import { useConnector } from "@/api/connectors";
import { useCredentials } from "@/api/credentials";
import { knownValue, type LastRun, useLastRun, useNodeStep } from "@/api/lastRun";
import type { Json } from "@/definition/types";
import { lazily } from "@/ui/lazily";
import { Quiet } from "@/ui/Quiet";
import { LoadingRows } from "@/ui/states";
import { ConnectorProvider, OPERATION } from "./connector/operations";
import { type Expressions, FormProvider, type NodeContext, type NodeFormProps, type Pin } from "./context";
import { inputOf, itemsOf, nodesBefore, pathOfText, predecessors, type Scope } from "./expression/scope";
import { FieldFrame } from "./fields/FieldFrame";
import { JsonEditor } from "./fields/JsonEditor";
import { SchemaForm } from "./SchemaForm";
import { atValue, belowField, type Problem, sortProblems, withinConfig } from "./schema/problems";
import type { FieldSchema } from "./schema/types";
import { isRecord } from "./schema/values";
import { FoldingProvider } from "./templates";

// Return the data that a node's expressions can read, with values of the last run or of pinned outputs.

const NONE: Record<string, Json> = {};
const NO_PINS: Record<string, Pin> = {};
const MOST_PRELOADED = 5;

/** The outputs loaded so far. */
function useOutputs(lastRun: LastRun, pinned: Record<string, Pin>) {
  const runId = lastRun.run?.id;
  const [known, setKnown] = useState<{ runId?: string; outputs: Record<string, Json> }>({ outputs: NONE });
  const { load: loadStep } = lastRun;
  const load = useCallback(
    async (nodeId: string): Promise<Json | undefined> => {
      const pin = pinned[nodeId];
      if (pin !== undefined) return pin.output;
      const step = await loadStep(nodeId).catch(() => undefined);
      // A failed node has no output.
      const output = step?.status === "success" ? knownValue(step.output) : undefined;
      if (output !== undefined) {
        setKnown((before) => ({
          runId,
          outputs: { ...(before.runId === runId ? before.outputs : NONE), [nodeId]: output },
        }));
      }
      return output;
    },
    [loadStep, pinned, runId],
  );
  const outputs = known.runId === runId ? known.outputs : NONE;
  const all = useMemo(() => {
    const given = Object.entries(pinned).map(([id, pin]) => [id, pin.output] as const);
    return { ...outputs, ...Object.fromEntries(given) };
  }, [outputs, pinned]);
  return { outputs: all, load };
}

/** Return the setting with the list, for each of whose items another setting is evaluated. */
function listSettingOf(schema: FieldSchema): string | undefined {
  const names = Object.values(schema.properties ?? {}).map((setting) => setting["x-per-item"]);
  return names.find((name) => name !== undefined);
}

const INPUT = "{{ input }}";

function useExpressions(context: NodeContext, schema: FieldSchema): Expressions {
  const { flowId, definition, nodeId, pinned = NO_PINS } = context;
  const lastRun = useLastRun(flowId, context.runId);
  const { data: step } = useNodeStep(lastRun, nodeId);
  const { data: credentials } = useCredentials();
  const { data: variables } = api.useQuery("get", "/api/variables");
  const ofWorkspace = useMemo(
    () => Object.fromEntries((variables?.items ?? []).map(({ name, value }) => [name, value as Json])),
    [variables],
  );
  const { outputs, load } = useOutputs(lastRun, pinned);

  const before = useMemo(() => predecessors(definition, nodeId), [definition, nodeId]);
  const { foreach, config } = definition.nodes.find((one) => one.id === nodeId) ?? {};
  const setting = listSettingOf(schema);
  const list = setting === undefined ? undefined : (config?.[setting] ?? INPUT);
  const ofLists = [foreach, list].flatMap((one) => {
    const [root, id] = pathOfText(one) ?? [];
    return root === "steps" ? String(id) : [];
  });
  const wanted = [...before.slice(0, MOST_PRELOADED), ...ofLists].join("\n");
  useEffect(() => {
    if (wanted === "") return;
    for (const id of wanted.split("\n")) void load(id);
  }, [wanted, load]);

  const scope = useMemo<Scope>(() => {
    const known: Scope = {
      input: (step ? knownValue(step.input) : undefined) ?? inputOf(before, outputs),
      trigger: lastRun.run === undefined ? undefined : knownValue(lastRun.run.input),
      vars: { ...ofWorkspace, ...definition.settings?.vars },
      steps: nodesBefore(definition, nodeId).map((one) => ({
        id: one.id,
        name: one.name ?? one.type,
        output: outputs[one.id],
      })),
      secrets: (credentials ?? []).filter((one) => one.type === "secret").map((one) => one.name),
      only: before.length === 1 ? before[0] : undefined,
      perItem: foreach !== undefined,
    };
    const looped = { ...known, ...itemsOf(known, foreach) };
    return { ...looped, each: itemsOf(looped, list) };
  }, [definition, nodeId, foreach, list, step, before, outputs, lastRun.run, credentials, ofWorkspace]);

  const runId = lastRun.run?.id;
  return useMemo(
    () => ({ flowId, definition, nodeId, runId, pinned, scope, load }),
    [flowId, definition, nodeId, runId, pinned, scope, load],
  );
}

const ConnectorForm = lazily(() => import("./connector/ConnectorForm"));

/** Return the keys used in the type's examples: the usual settings. */
function usualOf(type: NodeType): ReadonlySet<string> {
  const { properties = {} } = type.config_schema as FieldSchema;
  const config = type.examples[0]?.config;
  const keys = isRecord(config) ? Object.keys(config) : [];
  return new Set(keys.filter((key) => !properties[key]?.["x-advanced"]));
}

type Config = Record<string, Json>;

/** Return the config with new values of its known keys, in the original order. */
function withSettings(config: Config, known: ReadonlySet<string>, next: Config): Config {
  const made: Config = {};
  for (const [key, value] of Object.entries(config)) {
    const one = known.has(key) ? next[key] : value;
    if (one !== undefined) made[key] = one;
  }
  return { ...made, ...next };
}

function withoutKeys(config: Config, others: Config): Config {
  return Object.fromEntries(Object.entries(config).filter(([key]) => !(key in others)));
}

function Others({ problems }: { problems: readonly Problem[] }) {
  if (problems.length === 0) return null;
  return (
    <Alert color="red" variant="light" p="xs" icon={<IconAlertTriangle size={18} aria-hidden />}>
      {problems.map((problem) => (
        <Text size="sm" key={`${problem.path} ${problem.message}`}>
          {problem.message}
        </Text>
      ))}
    </Alert>
  );
}

const NONE_BESIDE: ReadonlySet<string> = new Set();
/** Settings of a connector's node that are not part of the form of its operation. */
const BESIDE: ReadonlySet<string> = new Set([OPERATION]);

export default function NodeFormBody(props: NodeFormProps) {
  const { type, context } = props;
  // A new key for each node: input that is not valid yet belongs to its node.
  const key = `${context.nodeId} ${type.type}`;
  if (!type.operations) {
    const schema = type.config_schema as FieldSchema;
    const body = <Body key={key} {...props} schema={schema} usual={usualOf(type)} remembered={type.type} />;
    if (!type.service) return body;
    return (
      <OfService type={type.type} service={type.service.type}>
        {body}
      </OfService>
    );
  }
  return (
    <Suspense fallback={<LoadingRows rows={3} />}>
      <ConnectorForm key={key} {...props}>
        {({ operation, ...fields }) => (
          <Body key={operation} {...props} {...fields} remembered={`${type.type} ${operation}`} beside={BESIDE} />
        )}
      </ConnectorForm>
    </Suspense>
  );
}

interface OfServiceProps {
  type: string;
  /** The connector of the same service. */
  service: string;
  children: ReactNode;
}

/** The form of a trigger by a service's webhook: its account is one of the connector, which also lists values. */
function OfService({ type, service, children }: OfServiceProps) {
  const { connector } = useConnector(service);
  const place = useMemo(
    () => (connector === undefined ? null : { connector: { ...connector, type }, operation: "", account: "account" }),
    [connector, type],
  );
  return <ConnectorProvider value={place}>{children}</ConnectorProvider>;
}

interface BodyProps extends NodeFormProps {
  schema: FieldSchema;
  /** The settings shown at once, in addition to required ones and those with a value. */
  usual: ReadonlySet<string>;
  /** The key under which the folding is remembered. */
  remembered: string;
  /** Settings that another form has. */
  beside?: ReadonlySet<string>;
}

function Body(props: BodyProps) {
  const { value, onChange, context, problems = [], readOnly = false, run } = props;
  const { schema, usual, remembered, beside = NONE_BESIDE, only } = props;
  const expressions = useExpressions(context, schema);
  const known = useMemo(() => new Set(Object.keys(schema.properties ?? {})), [schema]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the usual settings belong to the schema
  const folding = useMemo(() => ({ usual, remembered, only }), [schema, remembered, only?.join()]);
  const state = useMemo(() => ({ readOnly, expressions, run: run ?? null }), [readOnly, expressions, run]);
  const { errors, others } = useMemo(
    () =>
      sortProblems(
        problems
          .filter((problem) => !beside.has(withinConfig(problem.path)?.[0] ?? ""))
          .map((problem) => belowField(schema, atValue(value, problem))),
        (key) => known.has(key),
      ),
    [problems, known, schema, beside, value],
  );

  const entries = Object.entries(value);
  const settings = useMemo(
    () => Object.fromEntries(Object.entries(value).filter(([key]) => known.has(key))),
    [value, known],
  );
  const unknown = Object.fromEntries(entries.filter(([key]) => !known.has(key) && !beside.has(key)));
  const hasUnknown = Object.keys(unknown).length > 0;

  return (
    <FormProvider value={state}>
      <FoldingProvider value={folding}>
        <Stack gap="md">
          {only === undefined && <Others problems={others} />}
          {known.size === 0 && !hasUnknown && <Quiet>This node has no settings.</Quiet>}
          <Box>
            <SchemaForm
              schema={schema}
              value={settings}
              errors={errors}
              readOnly={readOnly}
              onChange={(next) => onChange(withSettings(value, known, next))}
            />
          </Box>
          {hasUnknown && only === undefined && (
            <FieldFrame
              id={`other-${context.nodeId}`}
              label="Other settings"
              help="Not used by this node type. They are kept unchanged."
              group
            >
              <JsonEditor
                id={`other-${context.nodeId}`}
                label="Other settings"
                value={unknown}
                onChange={(next) => onChange({ ...withoutKeys(value, unknown), ...(isRecord(next) ? next : {}) })}
                accepts={(one) => (isRecord(one) ? undefined : "Must be an object: { … }")}
              />
            </FieldFrame>
          )}
        </Stack>
      </FoldingProvider>
    </FormProvider>
  );
}
