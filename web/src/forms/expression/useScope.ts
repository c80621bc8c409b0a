/** Return the data that a node's expressions can read, with values of the last run or of pinned outputs. */
import { useCallback, useEffect, useMemo, useState } from "react";
import { api } from "@/api/client";
import { useCredentials } from "@/api/credentials";
import { knownValue, type LastRun, useLastRun, useNodeStep } from "@/api/lastRun";
import type { Json } from "@/definition/types";
import type { Expressions, NodeContext, Pin } from "../context";
import { inputOf, nodesBefore, predecessors } from "./before";
import { pathOfText, type Scope } from "./scope";

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

export function useExpressions(context: NodeContext): { expressions: Expressions; lastRun: LastRun } {
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
  const beforeKey = before.join("\n");
  useEffect(() => {
    if (beforeKey === "") return;
    for (const id of beforeKey.split("\n").slice(0, MOST_PRELOADED)) void load(id);
  }, [beforeKey, load]);

  const scope = useMemo<Scope>(() => {
    const node = definition.nodes.find((one) => one.id === nodeId);
    const input = (step ? knownValue(step.input) : undefined) ?? inputOf(before, outputs);
    return {
      input,
      trigger: lastRun.run === undefined ? undefined : knownValue(lastRun.run.input),
      vars: { ...ofWorkspace, ...definition.settings?.vars },
      steps: nodesBefore(definition, nodeId).map((one) => ({
        id: one.id,
        name: one.name ?? one.type,
        output: outputs[one.id],
      })),
      secrets: (credentials ?? []).filter((one) => one.type === "secret").map((one) => one.name),
      perItem: node?.foreach !== undefined,
      item: Array.isArray(input) ? input[0] : undefined,
      list: pathOfText(node?.foreach ?? node?.config?.items ?? "{{ input }}"),
    };
  }, [definition, nodeId, step, before, outputs, lastRun.run, credentials, ofWorkspace]);

  const runId = lastRun.run?.id;
  const expressions = useMemo(
    () => ({ flowId, definition, nodeId, runId, pinned, scope, load }),
    [flowId, definition, nodeId, runId, pinned, scope, load],
  );
  return { expressions, lastRun };
}
