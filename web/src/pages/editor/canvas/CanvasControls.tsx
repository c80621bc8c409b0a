import { ActionIcon, Button, Group, Tooltip } from "@mantine/core";
import {
  IconKeyboard,
  IconLayoutDistributeVertical,
  IconLayoutSidebarLeftExpand,
  IconMaximize,
  IconMinus,
  IconNote,
  IconPlus,
  IconSearch,
} from "@tabler/icons-react";
import { Panel, useReactFlow } from "@xyflow/react";
import { useEditor, useEditorStore } from "../context";
import { whereNext } from "../palette/adding";
import { openFind, useUi } from "../ui";
import { act } from "./actions";
import { canvasActions } from "./canvasActions";

const SLOW = { duration: 200 };

/** Buttons to add a node, shown while the list of nodes is closed. */
export function AddButtons() {
  const store = useEditorStore();
  const readOnly = useEditor((state) => state.readOnly);
  const open = useUi((ui) => ui.palette);
  const json = useUi((ui) => ui.json);
  if (readOnly || (open && !json)) return null;
  return (
    <Panel position="top-left">
      <Group gap={4}>
        <Button
          leftSection={<IconPlus size={18} aria-hidden />}
          onClick={(event) => {
            const box = event.currentTarget.getBoundingClientRect();
            const screen = { x: box.left, y: box.bottom + 6 };
            useUi.getState().set({ quick: { screen, where: whereNext(store.getState()) } });
          }}
        >
          Add node
        </Button>
        {!json && (
          <Tooltip label="Show node list">
            <ActionIcon
              variant="default"
              size={36}
              aria-label="Show node list"
              data-next="[aria-label='Node list'] input"
              onClick={() => useUi.getState().keep({ palette: true })}
            >
              <IconLayoutSidebarLeftExpand size={20} stroke={1.7} aria-hidden />
            </ActionIcon>
          </Tooltip>
        )}
      </Group>
    </Panel>
  );
}

export function CanvasControls() {
  const flow = useReactFlow();
  const store = useEditorStore();
  const readOnly = useEditor((state) => state.readOnly);

  const buttons = [
    { label: "Zoom in", icon: IconPlus, act: () => void flow.zoomIn(SLOW) },
    { label: "Zoom out", icon: IconMinus, act: () => void flow.zoomOut(SLOW) },
    {
      label: "Zoom to fit",
      icon: IconMaximize,
      act: () => canvasActions.current?.zoomToFit(),
    },
    ...(readOnly
      ? []
      : [
          { label: "Tidy up", icon: IconLayoutDistributeVertical, act: () => act("tidy", store) },
          { label: "Add note", icon: IconNote, act: () => act("note", store) },
        ]),
    { label: "Find in flow (Ctrl+F)", icon: IconSearch, act: openFind },
    { label: "Keyboard shortcuts", icon: IconKeyboard, act: () => useUi.getState().set({ keys: true }) },
  ];
  return (
    <Panel position="bottom-left">
      <Group gap={4}>
        {buttons.map(({ label, icon: Icon, act: perform }) => (
          <Tooltip key={label} label={label}>
            <ActionIcon variant="default" size="lg" aria-label={label} onClick={perform}>
              <Icon size={18} stroke={1.7} aria-hidden />
            </ActionIcon>
          </Tooltip>
        ))}
      </Group>
    </Panel>
  );
}
