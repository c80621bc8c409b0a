import { ActionIcon, Alert, Box, Group, Stack, Text, Tooltip } from "@mantine/core";
import { IconLayoutSidebarLeftCollapse } from "@tabler/icons-react";
import { useEditor, useEditorStore } from "../context";
import { useUi } from "../ui";
import { addNode, fits, useEntries, whereNext } from "./adding";
import { CurlButton } from "./CurlDialog";
import { PaletteList } from "./PaletteList";

/** The list of nodes at the left: drag one onto the canvas, or click to add it after the selected node. */
export function Palette() {
  const open = useUi((ui) => ui.palette);
  const keep = useUi((ui) => ui.keep);
  if (!open) return null;
  return <OpenPalette onClose={() => keep({ palette: false })} />;
}

function OpenPalette({ onClose }: { onClose: () => void }) {
  const store = useEditorStore();
  const { entries } = useEntries();
  const broken = useEditor((state) => state.catalogue?.broken);
  return (
    <Stack
      component="section"
      aria-label="Node list"
      gap={0}
      w={264}
      mih={0}
      bg="var(--card)"
      style={{ borderRight: "1px solid var(--line)", flexShrink: 0 }}
    >
      <Group justify="space-between" px="sm" pt="xs">
        <Text fw={600}>Nodes</Text>
        <Tooltip label="Hide node list">
          <ActionIcon
            variant="subtle"
            color="gray"
            aria-label="Hide node list"
            data-next="[aria-label='Show node list']"
            onClick={onClose}
          >
            <IconLayoutSidebarLeftCollapse size={20} aria-hidden />
          </ActionIcon>
        </Tooltip>
      </Group>
      <PaletteList
        entries={entries}
        onPick={(entry) => {
          const where = whereNext(store.getState());
          addNode(store.getState(), entry.node, fits(entry, where) ? where : {});
        }}
      />
      {broken !== undefined && broken.length > 0 && (
        <Alert color="red" variant="light" m="xs" p="xs" title="Custom nodes that failed to load">
          {broken.map(({ file, reason }) => (
            <Text size="xs" key={file}>
              {file}: {reason}
            </Text>
          ))}
        </Alert>
      )}
      <Box p="xs" style={{ borderTop: "1px solid var(--line)" }}>
        <CurlButton
          onClick={() => useUi.getState().set({ curl: { where: whereNext(store.getState()), command: "" } })}
        />
      </Box>
    </Stack>
  );
}
