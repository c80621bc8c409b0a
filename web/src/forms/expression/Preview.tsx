/** The result of an expression with the data of the last run, or the server's error. */

import { Group, Loader, Text } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { type Schemas, server } from "@/api/client";
import { Quiet } from "@/ui/Quiet";
import { messageOf } from "@/ui/states";
import { type Expressions, useForm } from "../context";
import classes from "../forms.module.css";
import { withoutPlace } from "../schema/problems";
import { typeName } from "../schema/values";

const PAUSE = 300;

type Previewed = Schemas["PreviewedOut"];

/** The results of a template: for the last run, and for each of its last items. */
export type Results = Schemas["PreviewOut"];

export async function resultsOf(expressions: Expressions, template: string, each = 0): Promise<Results> {
  const { flowId, nodeId, runId, definition, pinned } = expressions;
  const { data } = await server.POST("/api/expressions/preview", {
    body: {
      workflow_id: flowId,
      node_id: nodeId,
      run_id: runId ?? null,
      definition: definition as unknown as Record<string, never>,
      pinned: pinned as Schemas["PreviewIn"]["pinned"],
      template,
      each,
    },
  });
  if (data === undefined) throw new Error("The server sent no result");
  return data;
}

async function previewOf(expressions: Expressions, template: string): Promise<Previewed> {
  const [item] = (await resultsOf(expressions, template)).items ?? [];
  if (item === undefined) throw new Error("The server sent no result");
  return item;
}

function usePreview(expressions: Expressions | null, text: string) {
  const [template] = useDebouncedValue(text, PAUSE);
  const query = useQuery({
    queryKey: ["preview", expressions?.flowId, expressions?.nodeId, expressions?.runId, template],
    queryFn: () => previewOf(expressions as Expressions, template),
    enabled: expressions !== null,
    placeholderData: keepPreviousData,
    staleTime: 5_000,
    retry: false,
  });
  return { ...query, isBehind: template !== text || query.isPlaceholderData };
}

export function written(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value, null, 1);
}

/** Not an error: the run has no data for this node. */
const WITHOUT_INPUT = /^'input' is not defined/;

interface OutcomeProps {
  text: string;
  item: Previewed;
  hasInput: boolean;
  problems: readonly string[];
}

function Outcome({ text, item, hasInput, problems }: OutcomeProps) {
  if (!item.ok && !hasInput && WITHOUT_INPUT.test(item.error ?? "")) {
    return <Quiet size="xs">Not executed in the last run. Run the flow to see a value.</Quiet>;
  }
  if (!item.ok) {
    const error = withoutPlace(item.error ?? "", text);
    // The field already shows a syntax error.
    if (problems.some((problem) => problem.endsWith(error))) return null;
    return (
      <Text size="xs" c="var(--failed)">
        {error}
      </Text>
    );
  }
  return (
    <div>
      <Quiet size="xs">Result (last run): {item.truncated ? "beginning" : typeName(item.value)}</Quiet>
      <pre className={classes.given}>{written(item.value)}</pre>
    </div>
  );
}

export function Preview({ text, problems }: { text: string; problems: readonly string[] }) {
  const { expressions } = useForm();
  const { data, error, isBehind } = usePreview(expressions, text);
  const hasValues = expressions?.runId !== undefined || Object.keys(expressions?.pinned ?? {}).length > 0;
  return (
    <div role="status" aria-busy={isBehind}>
      {!hasValues && <Quiet size="xs">No runs yet. Run the flow once to see values.</Quiet>}
      {hasValues && error !== null && (
        <Text size="xs" c="var(--failed)">
          {messageOf(error)}
        </Text>
      )}
      {hasValues && error === null && data === undefined && (
        <Group gap={6}>
          <Loader size={12} />
          <Quiet size="xs">Evaluating…</Quiet>
        </Group>
      )}
      {hasValues && error === null && data !== undefined && (
        <div style={{ opacity: isBehind ? 0.6 : 1 }}>
          <Outcome text={text} item={data} hasInput={expressions?.scope.input !== undefined} problems={problems} />
        </div>
      )}
    </div>
  );
}
