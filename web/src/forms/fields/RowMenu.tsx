/** The actions on a row of a table or list: change type, move, remove. */

import { Group, Menu, Text } from "@mantine/core";
import { IconArrowDown, IconArrowUp, IconCheck, IconDotsVertical, IconPlus, IconTrash } from "@tabler/icons-react";
import { Button } from "@/ui/Button";
import { IconButton } from "@/ui/IconButton";
import { SHAPES, type Shape } from "../schema/shapes";

interface RowMenuProps {
  label: string;
  shape: Shape;
  onShape?: (shape: Shape) => void;
  onUp?: () => void;
  onDown?: () => void;
  onRemove: () => void;
}

export function ShapeItems({ shape, onShape }: { shape: Shape; onShape: (shape: Shape) => void }) {
  return (
    <>
      <Menu.Label>Type</Menu.Label>
      {SHAPES.map((one) => (
        <Menu.Item
          key={one.shape}
          onClick={() => onShape(one.shape)}
          aria-current={one.shape === shape || undefined}
          rightSection={one.shape === shape ? <IconCheck size={14} aria-label="Selected" /> : undefined}
        >
          {one.label}
        </Menu.Item>
      ))}
    </>
  );
}

export function RowMenu({ label, shape, onShape, onUp, onDown, onRemove }: RowMenuProps) {
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <IconButton label={`Actions for ${label}`} icon={IconDotsVertical} iconSize={16} size={36} />
      </Menu.Target>
      <Menu.Dropdown>
        {onShape !== undefined && <ShapeItems shape={shape} onShape={onShape} />}
        {onShape !== undefined && <Menu.Divider />}
        <Menu.Item leftSection={<IconArrowUp size={14} aria-hidden />} disabled={!onUp} onClick={onUp}>
          Move up
        </Menu.Item>
        <Menu.Item leftSection={<IconArrowDown size={14} aria-hidden />} disabled={!onDown} onClick={onDown}>
          Move down
        </Menu.Item>
        <Menu.Item color="red" leftSection={<IconTrash size={14} aria-hidden />} onClick={onRemove}>
          Remove
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

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
      <Button size="compact-sm" variant="default" icon={IconPlus} onClick={onAdd}>
        {children}
      </Button>
    </Group>
  );
}
