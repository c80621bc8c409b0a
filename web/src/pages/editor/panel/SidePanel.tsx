import { ActionIcon, Box, Button, Group, Stack, Tooltip } from "@mantine/core";
import {
  IconArrowBarToLeft,
  IconArrowBarToRight,
  IconLayoutBottombar,
  IconLayoutSidebarRight,
  IconLayoutSidebarRightCollapse,
  IconLayoutSidebarRightExpand,
} from "@tabler/icons-react";
import { type KeyboardEvent, type PointerEvent, Suspense, useEffect, useRef } from "react";
import { groupOf, nodesAmong, noteOf } from "@/definition/annotations";
import { IconButton } from "@/ui/IconButton";
import { lazily } from "@/ui/lazily";
import { Quiet } from "@/ui/Quiet";
import { LoadingRows } from "@/ui/states";
import { act } from "../canvas/canvasActions";
import { useEditor, useEditorStore, useSelectedNode } from "../context";
import { LEFT_FOR_CANVAS, otherWidth, useUi, WIDE } from "../ui";
import { GroupPanel, NotePanel } from "./AnnotationPanels";
import { FlowPanel } from "./FlowPanel";
import classes from "./panel.module.css";

interface ResizerProps {
  label: string;
  /** Its width, or of a panel below the canvas its height. */
  size: number;
  below?: boolean;
  least?: number;
  most?: number;
  onResize: (size: number) => void;
}

/** The left edge of a panel on the right, or the upper edge of one below, moved by dragging or arrow keys. */
export function Resizer({ label, size, below = false, least = 280, most = 1_600, onResize }: ResizerProps) {
  const start = useRef({ at: 0, size });
  const placeOf = (event: PointerEvent) => (below ? event.clientY : event.clientX);
  const within = (value: number) => {
    const window_ = below ? window.innerHeight : window.innerWidth;
    return Math.round(Math.max(least, Math.min(most, window_ - LEFT_FOR_CANVAS, value)));
  };

  function onPointerDown(event: PointerEvent<HTMLDivElement>) {
    event.currentTarget.setPointerCapture(event.pointerId);
    start.current = { at: placeOf(event), size };
  }

  function onPointerMove(event: PointerEvent<HTMLDivElement>) {
    if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
    onResize(within(start.current.size + start.current.at - placeOf(event)));
  }

  function onKeyDown(event: KeyboardEvent) {
    const step = { [below ? "ArrowUp" : "ArrowLeft"]: 20, [below ? "ArrowDown" : "ArrowRight"]: -20 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    onResize(within(size + step));
  }

  return (
    // biome-ignore lint/a11y/useSemanticElements: <hr> does not fit a separator that can be moved
    <div
      role="separator"
      aria-label={label}
      aria-orientation={below ? "horizontal" : "vertical"}
      aria-valuenow={size}
      aria-valuemin={least}
      aria-valuemax={most}
      tabIndex={0}
      className={classes.resizer}
      onPointerDown={onPointerDown}
      onPointerMove={onPointerMove}
      onKeyDown={onKeyDown}
    />
  );
}

const NodePanel = lazily(() => import("./NodePanel").then((part) => ({ default: part.NodePanel })));

function ManyPanel() {
  const store = useEditorStore();
  const selected = useEditor((state) => state.selected);
  const edges = useEditor((state) => state.selectedEdges);
  const readOnly = useEditor((state) => state.readOnly);
  const hasNodes = useEditor((state) => nodesAmong(state.definition, state.selected).length > 1);
  const areDisabled = useEditor((state) => {
    const ids = new Set(nodesAmong(state.definition, state.selected));
    return state.definition.nodes.every((node) => !ids.has(node.id) || node.disabled === true);
  });
  return (
    <Stack p="md">
      {!readOnly && (
        <Group gap="xs">
          {selected.length > 0 && (
            <Button variant="default" size="xs" onClick={() => store.getState().duplicate(selected)}>
              Duplicate
            </Button>
          )}
          {hasNodes && (
            <>
              <Button variant="default" size="xs" onClick={() => act("group", store)}>
                Group
              </Button>
              <Button variant="default" size="xs" onClick={() => store.getState().toggleDisabled(selected)}>
                {areDisabled ? "Enable" : "Disable"}
              </Button>
            </>
          )}
          <Button variant="default" size="xs" onClick={() => store.getState().removeSelected()}>
            {selected.length > 0 ? "Delete" : edges.length === 1 ? "Disconnect" : `Disconnect ${edges.length}`}
          </Button>
        </Group>
      )}
      <Quiet>Drag to move them together. Ctrl+C copies them, also to another flow.</Quiet>
    </Stack>
  );
}

/** Return the element if exactly one is selected. */
function onlyOne<T>(selected: readonly string[], find: (key: string) => T | undefined): T | undefined {
  const [key] = selected;
  return selected.length === 1 && key !== undefined ? find(key) : undefined;
}

function Content() {
  const node = useSelectedNode();
  const some = useEditor((state) => state.selected.length + state.selectedEdges.length);
  const note = useEditor((state) => onlyOne(state.selected, (key) => noteOf(state.definition, key)));
  const group = useEditor((state) => onlyOne(state.selected, (key) => groupOf(state.definition, key)));
  if (node !== undefined) {
    return (
      <Suspense fallback={<LoadingRows />}>
        <NodePanel node={node} />
      </Suspense>
    );
  }
  if (note !== undefined) return <NotePanel key={note.id} note={note} />;
  if (group !== undefined) return <GroupPanel key={group.id} group={group} />;
  return some > 0 ? <ManyPanel /> : <FlowPanel />;
}

/** Return the place of a tip left of the buttons at the head of the panel, of which so many precede its own. */
function leftOf(buttons: number) {
  return { position: "left", offset: 5 + 32 * buttons } as const;
}

/** Widen the panel to show input, settings and output side by side, or restore its width. */
function WidthButton({ width }: { width: number }) {
  const keep = useUi((ui) => ui.keep);
  const label = width < WIDE ? "Widen panel" : "Narrow panel";
  const Icon = width < WIDE ? IconArrowBarToLeft : IconArrowBarToRight;
  return (
    <IconButton
      label={label}
      tip
      tipAt={leftOf(1)}
      icon={Icon}
      iconSize={20}
      onClick={() => keep({ panelWidth: otherWidth(width, window.innerWidth) })}
    />
  );
}

function DockButton({ docked }: { docked: boolean }) {
  const label = docked ? "Dock at the right" : "Dock below the canvas";
  return (
    <IconButton
      label={label}
      tip
      tipAt={leftOf(0)}
      icon={docked ? IconLayoutSidebarRight : IconLayoutBottombar}
      iconSize={20}
      data-next="[data-dock]"
      data-dock
      onClick={() => useUi.getState().keep({ docked: !docked })}
    />
  );
}

/** The panel on the right or below the canvas: the selected node, or the flow. */
export function SidePanel({ docked }: { docked: boolean }) {
  // A node can be edited while the server is away, too.
  useEffect(NodePanel.preload, []);
  const open = useUi((ui) => ui.panel);
  const width = useUi((ui) => ui.panelWidth);
  const height = useUi((ui) => ui.dockHeight);
  const keep = useUi((ui) => ui.keep);
  const title = useEditor(({ selected, selectedEdges, definition }) => {
    if (onlyOne(selected, (key) => noteOf(definition, key)) !== undefined) return "Note";
    if (onlyOne(selected, (key) => groupOf(definition, key)) !== undefined) return "Group";
    if (selected.length === 0) return ["Flow", "Edge"][selectedEdges.length] ?? `${selectedEdges.length} edges`;
    const isAll = nodesAmong(definition, selected).length === selected.length;
    return selected.length === 1 ? "Node" : `${selected.length} ${isAll ? "nodes" : "elements"}`;
  });
  if (!open) {
    return (
      <Box p={8} bg="var(--card)" style={{ [docked ? "borderTop" : "borderLeft"]: "1px solid var(--line)" }}>
        <Tooltip label="Show panel" position="left">
          <ActionIcon
            variant="subtle"
            color="gray"
            aria-label="Show panel"
            data-next="[aria-label='Hide panel']"
            onClick={() => keep({ panel: true })}
          >
            <IconLayoutSidebarRightExpand size={20} aria-hidden />
          </ActionIcon>
        </Tooltip>
      </Box>
    );
  }
  return (
    <aside
      className={classes.panel}
      data-below={docked || undefined}
      style={docked ? { height, maxHeight: `calc(100dvh - ${LEFT_FOR_CANVAS}px)` } : { width }}
      aria-label="Details"
    >
      {docked ? (
        <Resizer below label="Panel height" size={height} least={200} onResize={(dockHeight) => keep({ dockHeight })} />
      ) : (
        <Resizer label="Panel width" size={width} onResize={(panelWidth) => keep({ panelWidth })} />
      )}
      <Group justify="space-between" px="md" pt={docked ? 0 : "xs"} visibleFrom="sm">
        <Quiet fw={600}>{title}</Quiet>
        <Group gap={4} wrap="nowrap">
          <DockButton docked={docked} />
          {!docked && <WidthButton width={width} />}
          <IconButton
            label="Hide panel"
            tip
            tipAt={leftOf(docked ? 1 : 2)}
            icon={IconLayoutSidebarRightCollapse}
            iconSize={20}
            data-next="[aria-label='Show panel']"
            onClick={() => keep({ panel: false })}
          />
        </Group>
      </Group>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <div className={classes.body} tabIndex={0} data-panel>
        <Content />
      </div>
    </aside>
  );
}
