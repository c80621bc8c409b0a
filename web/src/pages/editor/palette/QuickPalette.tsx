import { Box, Modal, Stack } from "@mantine/core";
import { useMemo } from "react";
import { useEditorStore } from "../context";
import { useUi } from "../ui";
import { canvasPlace } from "../useKeptFocus";
import { addNode, fits, useEntries } from "./adding";
import { CurlButton } from "./CurlDialog";
import { PaletteList } from "./PaletteList";

const SIZE = { width: 340, height: 440 };

/** Keeps the whole dialog on the screen. */
function within(value: number, size: number, whole: number): number {
  return Math.max(8, Math.min(value, whole - size - 8));
}

/** The node list as a dialog at the pointer. The new node is placed where the user pointed. */
export function QuickPalette() {
  const store = useEditorStore();
  const quick = useUi((ui) => ui.quick);
  const set = useUi((ui) => ui.set);
  const { entries } = useEntries();
  const fitting = useMemo(
    () => entries.filter((entry) => quick !== null && fits(entry, quick.where)),
    [entries, quick],
  );
  const close = () => set({ quick: null });
  function leave() {
    close();
    canvasPlace()?.focus({ preventScroll: true });
  }
  const height = Math.min(SIZE.height, window.innerHeight - 16);
  return (
    <Modal.Root
      opened={quick !== null}
      onClose={leave}
      transitionProps={{ duration: 80 }}
      returnFocus={false}
    >
      <Modal.Overlay backgroundOpacity={0.08} />
      <Modal.Content
        aria-label="Add node"
        w={SIZE.width}
        h={height}
        style={{
          position: "fixed",
          flex: "none",
          left: within(quick?.screen.x ?? 0, SIZE.width, window.innerWidth),
          top: within(quick?.screen.y ?? 0, height, window.innerHeight),
        }}
      >
        <Stack gap={0} h={height} mih={0}>
          <PaletteList
            isDialog
            entries={fitting}
            onPick={(entry) => {
              if (quick === null) return;
              close();
              addNode(store.getState(), entry.node, quick.where);
            }}
          />
          <Box p="xs" style={{ flexShrink: 0 }}>
            <CurlButton
              onClick={() => set({ quick: null, curl: { where: quick?.where ?? {}, command: "" } })}
            />
          </Box>
        </Stack>
      </Modal.Content>
    </Modal.Root>
  );
}
