import { ActionIcon, Box, Button, Group, Stack, Text, Tooltip } from "@mantine/core";
import {
  IconArrowBarToLeft,
  IconArrowBarToRight,
  IconLayoutSidebarRightCollapse,
  IconLayoutSidebarRightExpand,
} from "@tabler/icons-react";
import { Suspense, useEffect } from "react";
import { lazily } from "@/ui/lazily";
import { LoadingRows } from "@/ui/states";
import { useEditor, useEditorStore, useSelectedNode } from "../context";
import { otherWidth, useUi, WIDE } from "../ui";
import { FlowPanel } from "./FlowPanel";
import classes from "./panel.module.css";
import { Resizer } from "./Resizer";

const NodePanel = lazily(() => import("./NodePanel").then((part) => ({ default: part.NodePanel })));

function ManyPanel() {
  const store = useEditorStore();
  const selected = useEditor((state) => state.selected);
  const edges = useEditor((state) => state.selectedEdges);
  const readOnly = useEditor((state) => state.readOnly);
  const words = selected.length > 0 ? `${selected.length} nodes selected` : "Edge selected";
  return (
    <Stack p="md">
      <Text fw={600}>{words}</Text>
      {!readOnly && (
        <Group gap="xs">
          {selected.length > 0 && (
            <Button variant="default" size="xs" onClick={() => store.getState().duplicate(selected)}>
              Duplicate
            </Button>
          )}
          <Button variant="default" size="xs" onClick={() => store.getState().removeSelected()}>
            {selected.length > 0
              ? "Delete"
              : edges.length === 1
                ? "Disconnect"
                : `Disconnect ${edges.length}`}
          </Button>
        </Group>
      )}
      <Text size="sm" c="var(--quiet)">
        Drag to move them together. Ctrl+C copies them, also to another flow.
      </Text>
    </Stack>
  );
}

function Content() {
  const node = useSelectedNode();
  const some = useEditor((state) => state.selected.length + state.selectedEdges.length);
  if (node !== undefined) {
    return (
      <Suspense fallback={<LoadingRows />}>
        <NodePanel node={node} />
      </Suspense>
    );
  }
  return some > 0 ? <ManyPanel /> : <FlowPanel />;
}

/** Widen the panel to show input, settings and output side by side, or restore its width. */
function WidthButton({ width }: { width: number }) {
  const keep = useUi((ui) => ui.keep);
  const label = width < WIDE ? "Widen panel" : "Narrow panel";
  const Icon = width < WIDE ? IconArrowBarToLeft : IconArrowBarToRight;
  return (
    <Tooltip label={label}>
      <ActionIcon
        variant="subtle"
        color="gray"
        aria-label={label}
        onClick={() => keep({ panelWidth: otherWidth(width, window.innerWidth) })}
      >
        <Icon size={20} aria-hidden />
      </ActionIcon>
    </Tooltip>
  );
}

/** The panel on the right: the selected node, or the flow. */
export function SidePanel() {
  // A node can be edited while the server is away, too.
  useEffect(NodePanel.preload, []);
  const open = useUi((ui) => ui.panel);
  const width = useUi((ui) => ui.panelWidth);
  const keep = useUi((ui) => ui.keep);
  const title = useEditor((state) => (state.selected.length === 1 ? "Node" : "Flow"));
  if (!open) {
    return (
      <Box p={8} bg="var(--card)" style={{ borderLeft: "1px solid var(--line)" }}>
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
    <aside className={classes.panel} style={{ width }} aria-label="Details">
      <Resizer label="Panel width" width={width} onResize={(panelWidth) => keep({ panelWidth })} />
      <Group justify="space-between" px="md" pt="xs" visibleFrom="sm">
        <Text fw={600} size="sm" c="var(--quiet)">
          {title}
        </Text>
        <Group gap={4} wrap="nowrap">
          <WidthButton width={width} />
          <Tooltip label="Hide panel">
            <ActionIcon
              variant="subtle"
              color="gray"
              aria-label="Hide panel"
              data-next="[aria-label='Show panel']"
              onClick={() => keep({ panel: false })}
            >
              <IconLayoutSidebarRightCollapse size={20} aria-hidden />
            </ActionIcon>
          </Tooltip>
        </Group>
      </Group>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <div className={classes.body} tabIndex={0} data-panel>
        <Content />
      </div>
    </aside>
  );
}
