import { Group, Kbd, Modal, Table, Text } from "@mantine/core";
import { useUi } from "./ui";

const KEYS: [string, string][] = [
  ["Arrows", "Go to the node before, after, above, below"],
  ["Enter", "Open the node"],
  ["/ or Tab or double click", "Add a node"],
  ["Delete", "Delete what is selected"],
  ["Alt + arrows", "Move the selected nodes"],
  ["Shift + drag", "Select by a box"],
  ["Shift or Ctrl + click", "Select more"],
  ["Space + drag, middle button", "Move the canvas"],
  ["Ctrl + wheel, pinch", "Zoom"],
  ["Ctrl + A", "Select all"],
  ["Ctrl + C, X, V", "Copy, cut, paste: also between flows, and a cURL command"],
  ["Ctrl + D", "Duplicate"],
  ["Ctrl + Z, Ctrl + Shift + Z", "Undo, redo"],
  ["Ctrl + S", "Save now; publish an active flow"],
  ["Ctrl + Enter", "Run"],
  ["Escape", "From a field back to the node; on the canvas: select nothing"],
  ["?", "This list"],
];

export function KeysDialog() {
  const open = useUi((ui) => ui.keys);
  return (
    <Modal opened={open} onClose={() => useUi.getState().set({ keys: false })} title="Keys" size="lg">
      <Table>
        <Table.Tbody>
          {KEYS.map(([keys, what]) => (
            <Table.Tr key={keys}>
              <Table.Td>
                <Group gap={4}>
                  <Kbd>{keys}</Kbd>
                </Group>
              </Table.Td>
              <Table.Td>
                <Text size="sm">{what}</Text>
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Modal>
  );
}
