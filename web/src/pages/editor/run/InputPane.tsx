/** The data that a node can read: its input and the outputs of the nodes before it. Fields are dragged into settings. */

import { Group, Select } from "@mantine/core";
import { useMemo, useState } from "react";
import type { FlowNode } from "@/definition/types";
import { insertPicked, nodesBefore, type Path, pathText, predecessors, startDrag } from "@/forms/expression/scope";
import { namesIn } from "@/graph/nameOf";
import { StepChoice } from "@/runs/StepPanel";
import type { NodeState, Step } from "@/runs/states";
import { type Run, useStep } from "@/runs/useRun";
import { ValueView } from "@/runs/ValueView";
import { type Picking, PickingProvider } from "@/runs/value/kinds";
import { notify } from "@/ui/notify";
import { Quiet } from "@/ui/Quiet";
import { Loading, Refused } from "@/ui/states";
import { useEditor } from "../context";
import classes from "./run.module.css";
import type { NodeData } from "./useNodeData";

const INPUT = "input";
const TRIGGER = "trigger";

interface Source {
  value: string;
  label: string;
  /** Where expressions find the value. */
  path: Path;
}

/** Return the sources of the node's data: its input, the outputs of the nodes before it, the data of the trigger. */
function useSources(node: FlowNode): Source[] {
  const definition = useEditor((state) => state.definition);
  const catalogue = useEditor((state) => state.catalogue);
  return useMemo(() => {
    const names = namesIn(definition, catalogue);
    const steps = nodesBefore(definition, node.id).map((one) => ({
      value: `steps ${one.id}`,
      label: `Output of ${names.get(one.id) ?? one.id}`,
      path: ["steps", one.id],
    }));
    return [
      { value: INPUT, label: "Input of this node", path: [INPUT] },
      ...steps,
      { value: TRIGGER, label: "Input of the run", path: [TRIGGER] },
    ];
  }, [definition, catalogue, node.id]);
}

/** Return the functions that drag and insert fields of a value at this path. */
function usePickingAt(root: Path): Picking {
  const key = pathText(root);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the text stands for the path
  return useMemo(
    () => ({
      expressionOf: (path) => `{{ ${pathText([...root, ...path])} }}`,
      insert: (path) => {
        if (!insertPicked([...root, ...path])) notify.hint("Click into a setting first, or drag the field into one.");
      },
      onDragStart: (event, path) => startDrag(event, [...root, ...path]),
    }),
    [key],
  );
}

export function InputPane({ node, data }: { node: FlowNode; data: NodeData }) {
  const sources = useSources(node);
  const [chosen, setChosen] = useState(INPUT);
  const source = sources.find((one) => one.value === chosen) ?? (sources[0] as Source);
  const { state, step } = data;
  return (
    <div className={classes.pane}>
      <Group gap="xs" className={classes.paneHead} wrap="nowrap">
        <Select
          flex={1}
          miw={0}
          size="xs"
          aria-label="Data from"
          data={sources.map(({ value, label }) => ({ value, label }))}
          value={source.value}
          searchable={sources.length > 8}
          onChange={(next) => next !== null && setChosen(next)}
          comboboxProps={{ shadow: "md" }}
        />
        {source.value === INPUT && state !== undefined && step !== undefined && state.steps.length > 1 && (
          <StepChoice state={state} step={step} onStep={data.setStep} />
        )}
      </Group>
      <div className={classes.paneBody}>
        <SourceValue key={source.value} node={node} data={data} source={source} />
      </div>
    </div>
  );
}

function SourceValue({ node, data, source }: { node: FlowNode; data: NodeData; source: Source }) {
  const definition = useEditor((state) => state.definition);
  const pinned = useEditor((state) => state.pinned);
  const { run, states, step } = data;
  const before = useMemo(() => predecessors(definition, node.id), [definition, node.id]);
  const [only] = before.length === 1 ? before : [];
  const from = source.value === INPUT ? only : source.path[1];
  const pin = typeof from === "string" ? pinned[from] : undefined;
  if (pin !== undefined) return <Shown value={pin.output} path={source.path} note="pinned" />;
  if (run === undefined) return <Nothing>No runs yet. Run the flow to see data here.</Nothing>;
  if (source.value === TRIGGER) return <Shown value={run.input} path={source.path} />;
  if (source.value === INPUT && step !== undefined) {
    const isItem = typeof step.index === "number";
    return <OfStep run={run} step={step} part="input" path={isItem ? ["item"] : source.path} />;
  }
  const state = typeof from === "string" ? states.get(from) : undefined;
  if (state === undefined) {
    return (
      <Nothing>
        {source.value === INPUT && before.length > 1
          ? "Not executed in this run. Choose a node above to see its output."
          : "Not executed in this run."}
      </Nothing>
    );
  }
  return <OfStep run={run} step={mainStep(state)} part="output" path={source.path} />;
}

function mainStep(state: NodeState): Step {
  return state.steps.find((one) => one.number === state.step) ?? (state.steps[0] as Step);
}

function OfStep({ run, step, part, path }: { run: Run; step: Step; part: "input" | "output"; path: Path }) {
  const { data, error, refetch } = useStep(run, step);
  if (error !== null) return <Refused error={error} onRetry={() => void refetch()} />;
  if (data === undefined) return <Loading label="Loading the data" />;
  return <Shown key={`${data.id} ${part}`} value={data[part]} path={path} />;
}

function Shown({ value, path, note }: { value: unknown; path: Path; note?: string }) {
  const picking = usePickingAt(path);
  const label = note && <Quiet size="xs">{note}</Quiet>;
  return (
    <PickingProvider value={picking}>
      <ValueView title="Input" value={value} nothing="No input" actions={label} level={2} />
    </PickingProvider>
  );
}

function Nothing({ children }: { children: React.ReactNode }) {
  return <Quiet p="sm">{children}</Quiet>;
}
