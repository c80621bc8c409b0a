import { ActionIcon, Button, Group, Text, Tooltip } from "@mantine/core";
import {
  IconAlertTriangle,
  IconArrowBackUp,
  IconArrowForwardUp,
  IconArrowLeft,
  IconBraces,
} from "@tabler/icons-react";
import { Link, useLocation } from "wouter";
import { FlowMenu } from "@/pages/flows/FlowMenu";
import { useEditor, useEditorStore } from "../context";
import { RunButton } from "../run/RunButton";
import { useUi } from "../ui";
import { FlowName } from "./FlowName";
import classes from "./header.module.css";
import { People } from "./People";
import { PublishButton } from "./PublishButton";
import { SavedState } from "./SavedState";
import { StatusSwitch } from "./StatusSwitch";

function UndoRedo() {
  const store = useEditorStore();
  const undo = useEditor((state) => state.history.past.at(-1)?.label);
  const redo = useEditor((state) => state.history.future[0]?.label);
  return (
    <Group gap={2} wrap="nowrap" visibleFrom="sm">
      <Tooltip label={undo === undefined ? "Nothing to undo" : `Undo: ${undo} (Ctrl+Z)`}>
        <ActionIcon
          variant="subtle"
          color="gray"
          size="lg"
          className={classes.flat}
          aria-label="Undo"
          data-disabled={undo === undefined || undefined}
          aria-disabled={undo === undefined || undefined}
          onClick={() => store.getState().undo()}
        >
          <IconArrowBackUp size={20} stroke={1.7} aria-hidden />
        </ActionIcon>
      </Tooltip>
      <Tooltip label={redo === undefined ? "Nothing to redo" : `Redo: ${redo} (Ctrl+Shift+Z)`}>
        <ActionIcon
          variant="subtle"
          color="gray"
          size="lg"
          className={classes.flat}
          aria-label="Redo"
          data-disabled={redo === undefined || undefined}
          aria-disabled={redo === undefined || undefined}
          onClick={() => store.getState().redo()}
        >
          <IconArrowForwardUp size={20} stroke={1.7} aria-hidden />
        </ActionIcon>
      </Tooltip>
    </Group>
  );
}

function ProblemCount() {
  const problems = useEditor((state) => state.check?.problems);
  const isEmpty = useEditor((state) => state.definition.nodes.length === 0);
  const shown = useUi((ui) => ui.problems);
  const set = useUi((ui) => ui.set);
  // A new flow without nodes is not a mistake of the user.
  if (isEmpty || problems === undefined || problems.length === 0) return null;
  const errors = problems.filter((problem) => problem.level === "error").length;
  const words = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  return (
    <Button
      variant="subtle"
      size="compact-sm"
      c={errors > 0 ? "var(--failed)" : "var(--waiting)"}
      leftSection={<IconAlertTriangle size={16} aria-hidden />}
      aria-expanded={shown}
      data-problems
      onClick={() => set({ problems: !shown })}
      style={{ flexShrink: 0 }}
    >
      {words}
    </Button>
  );
}

/** The menu of the list of flows, for the flow as shown on the canvas. */
function MoreMenu() {
  const store = useEditorStore();
  const flow = useEditor((state) => state.flow);
  const [, go] = useLocation();
  return (
    <FlowMenu
      flow={flow}
      label="Flow actions"
      size="lg"
      shown={() => {
        const { flow, definition } = store.getState();
        return { name: flow.name, definition };
      }}
      onChanged={(change) => store.getState().setFlow(change)}
      onDeleted={() => go("/flows")}
    />
  );
}

export function Header() {
  const version = useEditor((state) => state.version);
  const id = useEditor((state) => state.flow.id);
  const readOnly = useEditor((state) => state.readOnly);
  const json = useUi((ui) => ui.json);
  const set = useUi((ui) => ui.set);
  return (
    <header className={classes.header}>
      <Tooltip label="Back to flows">
        <ActionIcon
          component={Link}
          href="/flows"
          variant="subtle"
          color="gray"
          size="lg"
          aria-label="Back to flows"
        >
          <IconArrowLeft size={20} stroke={1.7} aria-hidden />
        </ActionIcon>
      </Tooltip>
      <FlowName />
      <Group gap="sm" wrap="nowrap" visibleFrom="md">
        <Tooltip label="All versions">
          <Text
            component={Link}
            href={`/flows/${id}/versions`}
            size="sm"
            c="var(--quiet)"
            style={{ whiteSpace: "nowrap" }}
          >
            Version {version}
          </Text>
        </Tooltip>
        {!readOnly && <SavedState />}
      </Group>
      <div className={classes.spring} />
      <Group gap="xs" wrap="nowrap" visibleFrom="sm">
        <ProblemCount />
        {!readOnly && <UndoRedo />}
        <Tooltip label={json ? "Hide JSON" : "Show JSON beside the canvas"}>
          <ActionIcon
            variant={json ? "light" : "subtle"}
            color={json ? undefined : "gray"}
            size="lg"
            aria-label="JSON"
            data-json
            aria-pressed={json}
            onClick={() => set({ json: !json })}
          >
            <IconBraces size={20} stroke={1.7} aria-hidden />
          </ActionIcon>
        </Tooltip>
      </Group>
      <People />
      <PublishButton />
      <StatusSwitch />
      <RunButton />
      <MoreMenu />
    </header>
  );
}
