import { Button, Group, Text } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";

interface AddRowProps {
  /** What the button says, such as "Add an item". */
  children: string;
  readOnly: boolean;
  isEmpty: boolean;
  onAdd: () => void;
}

/** The end of a list: what adds to it, or a word that there is nothing where nothing can be added. */
export function AddRow({ children, readOnly, isEmpty, onAdd }: AddRowProps) {
  if (readOnly) return isEmpty ? <Text size="sm">Nothing</Text> : null;
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
