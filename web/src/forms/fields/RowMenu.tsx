/** The actions on a row of a table or list: change type, move, remove. */
import { ActionIcon, Menu } from "@mantine/core";
import { IconArrowDown, IconArrowUp, IconCheck, IconDotsVertical, IconTrash } from "@tabler/icons-react";
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
        <ActionIcon variant="subtle" color="gray" size={36} aria-label={`Actions for ${label}`}>
          <IconDotsVertical size={16} aria-hidden />
        </ActionIcon>
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
