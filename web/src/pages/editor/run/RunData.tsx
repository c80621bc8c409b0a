import { Alert, Anchor, Group, Stack, Text, Tooltip, UnstyledButton } from "@mantine/core";
import {
  IconChevronDown,
  IconChevronRight,
  IconPin,
  IconPinnedOff,
  IconPlayerSkipForward,
  IconPlayerTrackNext,
} from "@tabler/icons-react";
import { useState } from "react";
import { Link } from "wouter";
import { useSession } from "@/app/session";
import type { FlowNode, Json } from "@/definition/types";
import { StepPanel } from "@/runs/StepPanel";
import type { NodeState } from "@/runs/states";
import type { Run } from "@/runs/useRun";
import { fetchWhole, hasEnded } from "@/runs/values";
import { Button } from "@/ui/Button";
import { CodeEditor } from "@/ui/CodeEditor";
import { notify } from "@/ui/notify";
import { Quiet } from "@/ui/Quiet";
import { SplitPane } from "@/ui/SplitPane";
import { labelOf, outcomeOf } from "@/ui/StatusBadge";
import { Loading } from "@/ui/states";
import { Time } from "@/ui/Time";
import { useEditor, useEditorStore } from "../context";
import type { Pin } from "../store";
import { useUi, WIDE } from "../ui";
import { InputPane } from "./InputPane";
import classes from "./run.module.css";
import { useRunStore } from "./runStore";
import type { EditorRun } from "./useEditorRun";
import { type NodeData, type ShownRun, useChangedSince } from "./useNodeData";

interface Props {
  node: FlowNode;
  data: NodeData;
}

/** The tab with the selected node's output and input in the current run. In a narrow panel the input is folded. */
export function RunData(props: Props) {
  const { node, data } = props;
  const wide = useUi((ui) => ui.panelWidth >= WIDE);
  const output = <OutputPane key={node.id} {...props} />;
  return (
    <div className={classes.data}>
      {data.run !== undefined && <Which run={data.run} isLatest={data.shown.isLatest} nodeId={node.id} />}
      <div className={classes.step}>
        {wide ? (
          <SplitPane
            direction="row"
            name="step"
            label="Size of input and output"
            first={<InputPane key={node.id} {...props} />}
            second={output}
          />
        ) : (
          output
        )}
      </div>
      {!wide && <FoldedInput key={node.id} {...props} />}
      <Ways node={node} editorRun={data.editorRun} shown={data.shown} />
    </div>
  );
}

function FoldedInput(props: Props) {
  const [open, setOpen] = useState(false);
  const Icon = open ? IconChevronDown : IconChevronRight;
  return (
    <>
      <UnstyledButton fz="sm" fw={600} aria-expanded={open} onClick={() => setOpen(!open)}>
        <Group gap={4}>
          <Icon size={16} aria-hidden />
          Input
        </Group>
      </UnstyledButton>
      {open && (
        <div className={classes.step}>
          <InputPane {...props} />
        </div>
      )}
    </>
  );
}

/** Buttons that run the node, and which run is shown. */
export function DataHead({ node, data }: Props) {
  const { run, shown } = data;
  return (
    <>
      <Ways node={node} editorRun={data.editorRun} shown={shown} />
      {run !== undefined && <Which run={run} isLatest={shown.isLatest} nodeId={node.id} />}
    </>
  );
}

/** The node's output in the run, or the pinned one. */
export function OutputPane({ node, data }: Props) {
  const { run, state, step, shown } = data;
  const pin = useEditor((known) => known.pinned[node.id]);
  return (
    <div className={classes.pane}>
      {pin !== undefined && (
        <div className={classes.pinned}>
          <Pinned key={node.id} nodeId={node.id} pin={pin} />
        </div>
      )}
      <div className={classes.paneBody}>
        {run === undefined || state === undefined || step === undefined ? (
          <NoData shown={shown} pinned={pin !== undefined} nodeId={node.id} />
        ) : (
          <StepPanel
            run={run}
            state={state}
            step={step}
            onStep={data.setStep}
            untitled
            withoutInput
            outputActions={(output) => <PinButton nodeId={node.id} state={state} output={output} />}
          />
        )}
      </div>
    </div>
  );
}

/** Which run is shown, and its time. */
function Which({ run, isLatest, nodeId }: { run: Run; isLatest: boolean; nodeId: string }) {
  const flowId = useEditor((state) => state.flow.id);
  const set = useRunStore((known) => known.set);
  const changed = useChangedSince(run.id, nodeId);
  return (
    <Stack gap={4}>
      <Group gap={6} justify="space-between" wrap="nowrap">
        <Text size="sm" component="div">
          {isLatest ? "Last run " : "Shown: run of "}
          <Anchor component={Link} href={`/runs/${run.id}`} size="sm">
            <Time at={run.started_at ?? run.created_at} />
          </Anchor>
          , {labelOf(outcomeOf(run)).toLowerCase()}
        </Text>
        {isLatest && (
          <Button
            size="compact-xs"
            variant="subtle"
            style={{ flexShrink: 0 }}
            onClick={() => set(flowId, { runId: run.id, jumped: run.id, refusal: null })}
          >
            Show on canvas
          </Button>
        )}
      </Group>
      {changed !== null && (
        <Text size="xs" c="var(--waiting)">
          {changed === "node"
            ? "This node has changed since then. Run it again to see its current output."
            : "Other parts of the flow have changed since then."}
        </Text>
      )}
    </Stack>
  );
}

function Ways({ node, editorRun, shown }: { node: FlowNode; editorRun: EditorRun; shown: ShownRun }) {
  const { may } = useSession();
  const { going, runOrAsk, startFrom } = editorRun;
  const { run, states } = shown;
  // A disabled button loses the keyboard focus: these stay enabled and do nothing.
  const mayNot = going || !may("operator");
  const canGoOn = !going && may("editor") && run !== undefined && hasEnded(run);

  return (
    <Group gap="xs">
      <Button
        size="xs"
        variant="default"
        data-disabled={mayNot || undefined}
        aria-disabled={mayNot || undefined}
        icon={IconPlayerTrackNext}
        onClick={() => !mayNot && void runOrAsk(node.id)}
      >
        Run up to here
      </Button>
      <Tooltip
        multiline
        maw={280}
        label={
          canGoOn
            ? "Runs this node and all nodes after it, with the other nodes' outputs of the last run"
            : "Run the flow first: the outputs of earlier nodes are taken from its last run"
        }
      >
        <Button
          size="xs"
          variant="default"
          data-disabled={!canGoOn || undefined}
          aria-disabled={!canGoOn || undefined}
          icon={IconPlayerSkipForward}
          onClick={() => canGoOn && void startFrom(node.id, { run, states })}
        >
          Run from here
        </Button>
      </Tooltip>
    </Group>
  );
}

function NoData({ shown, pinned, nodeId }: { shown: ShownRun; pinned: boolean; nodeId: string }) {
  const store = useEditorStore();
  const { may } = useSession();
  if (!shown.ready) return <Loading label="Loading the last run" />;
  const words =
    shown.run === undefined
      ? "No runs yet. Run the flow to see input and output here."
      : hasEnded(shown.run)
        ? "Not executed in this run."
        : "This node has not started.";
  return (
    <Stack gap="xs" align="flex-start" p="sm">
      <Quiet>{words}</Quiet>
      {!pinned && may("editor") && (
        <Button size="xs" variant="default" icon={IconPin} onClick={() => store.getState().pin(nodeId, { output: {} })}>
          Pin a custom output
        </Button>
      )}
    </Stack>
  );
}

function PinButton({ nodeId, state, output }: { nodeId: string; state: NodeState; output: unknown }) {
  const store = useEditorStore();
  const { may } = useSession();
  const isPinned = useEditor((known) => known.pinned[nodeId] !== undefined);
  if (isPinned || state.outcome !== "success" || !may("editor")) return null;
  async function pin() {
    try {
      const value = (await fetchWhole(output)) as Json;
      store.getState().pin(nodeId, { output: value, branch: state.branch });
    } catch (error) {
      notify.refused("The output could not be pinned", error);
    }
  }
  return (
    <Tooltip label="Runs from the editor use this output instead of executing the node" multiline maw={260}>
      <Button size="compact-xs" variant="subtle" icon={IconPin} onClick={() => void pin()}>
        Pin
      </Button>
    </Tooltip>
  );
}

/** The pinned output, editable as JSON. Invalid JSON stays in the field and is not used. */
function Pinned({ nodeId, pin }: { nodeId: string; pin: Pin }) {
  const store = useEditorStore();
  const [text, setText] = useState(() => JSON.stringify(pin.output, null, 2));
  const [problem, setProblem] = useState<string | null>(null);

  function change(next: string) {
    setText(next);
    try {
      store.getState().pin(nodeId, { ...pin, output: JSON.parse(next) as Json });
      setProblem(null);
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    }
  }
  return (
    <Stack gap={6}>
      <Group justify="space-between">
        <Text size="sm" fw={600}>
          Pinned output{pin.branch ? ` (branch ${pin.branch})` : ""}
        </Text>
        <Button size="compact-xs" variant="subtle" icon={IconPinnedOff} onClick={() => store.getState().unpin(nodeId)}>
          Unpin
        </Button>
      </Group>
      <CodeEditor
        language="json"
        label="Pinned output as JSON"
        value={text}
        onChange={change}
        minHeight={80}
        maxHeight="240px"
      />
      {problem !== null && (
        <Alert color="red" variant="light" py={6} role="alert">
          Not used. Invalid JSON: {problem}
        </Alert>
      )}
      <Quiet size="xs">
        Runs from the editor use this output instead of executing the node. It is kept on this device and is not part of
        the flow.
      </Quiet>
    </Stack>
  );
}
