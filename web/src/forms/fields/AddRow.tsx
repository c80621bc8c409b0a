import { Button, Group, Text } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";

interface AddRowProps {
  /** The label of the button, such as "Add item". */
  children: string;
  readOnly: boolean;
  isEmpty: boolean;
  onAdd: () => void;
}

/** The end of a list: a button to add a row; for a read-only empty list the text "None". */
export function AddRow({ children, readOnly, isEmpty, onAdd }: AddRowProps) {
  if (readOnly) return isEmpty ? <Text size="sm">None</Text> : null;
  return (
    <Group>
      <Button
        size="compact-sm"
        variant="default"
        leftSection={<IconPlus size={14} aria-hidden />}
        onClick={onAdd}
      >
        {children}
      </Button>
    </Group>
  );
}
