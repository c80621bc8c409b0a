import { Modal } from "@mantine/core";
import { PALETTE_KEY } from "@/app/commands/keys";
import { type Keys, KeysTable } from "@/ui/KeysTable";
import { useUi } from "./ui";

const KEYS: Keys = [
  [PALETTE_KEY, "Search nodes, flows, runs, pages and actions"],
  ["Ctrl + F", "Find a text in the flow; Enter and Shift + Enter go to the next and previous match"],
  ["Arrows", "Go to the previous, next, upper or lower node"],
  ["Enter", "Open the node"],
  ["/ or Tab or double click", "Add a node"],
  ["F2", "Rename the node or group; write the note"],
  ["Menu key or Shift + F10, right click, long press", "Open the menu of the selection"],
  ["D", "Disable or enable the selected nodes"],
  ["P", "Pin the output of the node, or unpin it"],
  ["N", "Add a note"],
  ["G, Shift + G", "Group the selected nodes; ungroup"],
  ["F", "Fold or unfold the group"],
  ["T", "Tidy up"],
  ["Delete", "Delete the selection"],
  ["Alt + arrows", "Move the selected nodes"],
  ["Shift + drag", "Select with a box"],
  ["Shift or Ctrl + click", "Add to the selection"],
  ["Space + drag, middle button", "Move the canvas"],
  ["Ctrl + wheel, pinch", "Zoom"],
  ["Ctrl + A", "Select all"],
  ["Ctrl + C, X, V", "Copy, cut, paste (also between flows, and cURL commands)"],
  ["Ctrl + D", "Duplicate"],
  ["Ctrl + Z, Ctrl + Shift + Z", "Undo, redo"],
  ["Ctrl + S", "Publish the draft; save a version of an inactive flow"],
  ["Ctrl + Enter", "Run"],
  ["Ctrl + Shift + Enter", "Run only the selected node"],
  ["Alt + Enter", "In an expression: edit it in full screen"],
  ["Escape", "Leave a field; on the canvas: clear the selection"],
  ["?", "Show keyboard shortcuts"],
];

export function KeysDialog() {
  const open = useUi((ui) => ui.keys);
  return (
    <Modal
      opened={open}
      onClose={() => useUi.getState().set({ keys: false })}
      title="Keyboard shortcuts"
      size="lg"
    >
      <KeysTable keys={KEYS} />
    </Modal>
  );
}
