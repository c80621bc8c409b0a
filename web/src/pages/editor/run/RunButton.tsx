import { ActionIcon, Group, Menu, Tooltip } from "@mantine/core";
import { IconChevronDown, IconPlayerPlayFilled, IconPlayerStopFilled } from "@tabler/icons-react";
import { useEffect, useState } from "react";
import { useSession } from "@/app/session";
import type { Json } from "@/definition/types";
import { askedOf } from "@/runs/input/asked";
import { InputDialog } from "@/runs/input/InputDialog";
import { keepInput, lastInput } from "@/runs/input/lastInput";
import { Button } from "@/ui/Button";
import { notify } from "@/ui/notify";
import { Quiet } from "@/ui/Quiet";
import { useEditor, useEditorStore, useSelectedNode } from "../context";
import { startsOf } from "../panel/starts";
import { calledIn } from "../store";
import { useListen } from "./Listening";
import { shownOf, useRunStore } from "./runStore";
import { type EditorRun, outputOf, useEditorRun, useRunOnCanvas } from "./useEditorRun";

/** Handle a link into the editor once: `?node=` selects a node, `?run=` shows a run on the canvas. */
function useAddress(): void {
  const store = useEditorStore();
  const set = useRunStore((known) => known.set);
  useEffect(() => {
    const asked = new URLSearchParams(window.location.search);
    const { flow, definition, goTo } = store.getState();
    const [run, node] = [asked.get("run"), asked.get("node")];
    if (run !== null) set(flow.id, { runId: run, jumped: run, refusal: null });
    if (definition.nodes.some((one) => one.id === node)) goTo(node ?? "");
  }, [store, set]);
}

/** Let the keys pin a node's output in the run on the canvas. Use it in one place only. */
function usePinOutput({ run, states }: EditorRun): void {
  const store = useEditorStore();
  const { may } = useSession();
  const mayEdit = may("editor");
  useEffect(() => {
    if (run === undefined || !mayEdit) return;
    async function pin(runId: string, nodeId: string) {
      const state = states.get(nodeId);
      if (state?.outcome !== "success") return notify.hint("The node has no output in the run on the canvas to pin");
      try {
        const output: Json = await outputOf(runId, state);
        store.getState().pin(nodeId, { output, branch: state.branch });
      } catch (error) {
        notify.refused("The output could not be pinned", error);
      }
    }
    store.getState().setPinOutput((nodeId) => void pin(run.id, nodeId));
    return () => store.getState().setPinOutput(null);
  }, [run, states, mayEdit, store]);
}

/** The button "Run" with a menu of other ways to run; while a run is active, "Cancel run". Ctrl+Enter does the same. */
export function RunButton() {
  const editorRun = useEditorRun();
  useAddress();
  useRunOnCanvas(editorRun);
  usePinOutput(editorRun);
  const store = useEditorStore();
  const flowId = useEditor((state) => state.flow.id);
  const archived = useEditor((state) => state.flow.status === "archived");
  const isEmpty = useEditor((state) => state.definition.nodes.length === 0);
  const { may } = useSession();
  const asking = useRunStore((known) => shownOf(known, flowId).asking);
  const set = useRunStore((known) => known.set);
  const { going, start, stop } = editorRun;
  const run = (until?: string) => void editorRun.runOrAsk(until);
  const refusal = !may("operator")
    ? "Requires the operator role"
    : archived
      ? "The flow is archived"
      : isEmpty
        ? "The flow has no nodes yet"
        : null;
  async function runBare() {
    keepInput(flowId, null);
    const refused = await start();
    if (refused !== null) set(flowId, { asking: { refusal: refused } });
  }
  useEffect(() => () => set(flowId, { asking: null }), [set, flowId]);
  function tryRun(nodeId?: string) {
    if (refusal !== null) notify.hint(refusal);
    else if (going) notify.hint("The flow is already running");
    else if (nodeId === undefined) run();
    else if (!may("editor")) notify.hint("Requires the editor role");
    else void editorRun.runNode(nodeId);
  }
  useEffect(() => {
    store.getState().setRun(tryRun);
    return () => store.getState().setRun(null);
  });

  return (
    <>
      {going ? (
        <Button
          variant="default"
          icon={IconPlayerStopFilled}
          data-next="[data-run]"
          data-stop
          data-disabled={editorRun.starting || undefined}
          aria-disabled={editorRun.starting || undefined}
          onClick={() => !editorRun.starting && void stop()}
        >
          Cancel run
        </Button>
      ) : (
        <Group gap={1} wrap="nowrap">
          <Tooltip label={refusal} disabled={refusal === null}>
            <Button
              aria-keyshortcuts="Control+Enter"
              icon={IconPlayerPlayFilled}
              data-disabled={refusal !== null || undefined}
              aria-disabled={refusal !== null || undefined}
              data-run
              data-next="[data-stop]"
              onClick={() => tryRun()}
              style={{ borderTopRightRadius: 0, borderBottomRightRadius: 0 }}
            >
              Run
            </Button>
          </Tooltip>
          <WaysToRun
            disabled={refusal !== null}
            onRun={run}
            onAsk={(until) => set(flowId, { asking: { until } })}
            onRunBare={() => void runBare()}
          />
        </Group>
      )}
      {asking !== null && (
        <AskedInput
          {...asking}
          onClose={() => set(flowId, { asking: null })}
          onRun={async (input) => {
            const refusal = await start({ input, until: asking.until });
            if (refusal !== null) throw refusal;
            set(flowId, { asking: null });
          }}
        />
      )}
    </>
  );
}

type AskedInputProps = Pick<Parameters<typeof InputDialog>[0], "initial" | "refusal" | "onClose" | "onRun"> & {
  until?: string;
};

function AskedInput({ until, ...rest }: AskedInputProps) {
  const { flow, definition, pinned } = useEditorStore().getState();
  const { may } = useSession();
  const name = useEditor((state) => until && calledIn(state, until));
  const [asked] = useState(() => askedOf(definition, may("editor") ? pinned : {}));
  return (
    <InputDialog
      {...rest}
      flowId={flow.id}
      asked={asked}
      title={until === undefined ? "Run with input" : `Run up to “${name}” with input`}
      hint="Available in expressions as input and trigger."
    />
  );
}

interface WaysProps {
  disabled: boolean;
  onRun: (until?: string) => void;
  onAsk: (until?: string) => void;
  onRunBare: () => void;
}

function WaysToRun({ disabled, onRun, onAsk, onRunBare }: WaysProps) {
  const node = useSelectedNode();
  const flowId = useEditor((state) => state.flow.id);
  const [opened, setOpened] = useState(false);
  const hasInput = opened && lastInput(flowId) !== null;
  const name = useEditor((state) => node && calledIn(state, node.id));
  const isCalled = useEditor((state) =>
    opened ? startsOf(state.definition, state.catalogue).some((start) => start.address !== null) : false,
  );
  const listen = useListen();
  const { may } = useSession();
  const mayListen = isCalled && may("editor");
  return (
    <Menu position="bottom-end" shadow="md" width={260} disabled={disabled} opened={opened} onChange={setOpened}>
      <Menu.Target>
        <ActionIcon
          size={36}
          variant="filled"
          aria-label="More run options"
          data-disabled={disabled || undefined}
          style={{ borderTopLeftRadius: 0, borderBottomLeftRadius: 0 }}
        >
          <IconChevronDown size={16} aria-hidden />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item
          onClick={() => onRun()}
          rightSection={
            <Quiet size="xs" aria-hidden>
              Ctrl+Enter
            </Quiet>
          }
        >
          {hasInput ? "Run with last input" : "Run"}
        </Menu.Item>
        <Menu.Item onClick={() => onAsk()}>Run with input…</Menu.Item>
        {hasInput && <Menu.Item onClick={onRunBare}>Run without input</Menu.Item>}
        {mayListen && <Menu.Item onClick={() => void listen()}>Listen for a test call</Menu.Item>}
        <Menu.Divider />
        <Menu.Item disabled={node === undefined} onClick={() => onRun(node?.id)}>
          {node === undefined ? "Run up to selected node" : `Run up to “${name}”`}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
