import { ActionIcon, type ActionIconProps, type ElementProps, Tooltip } from "@mantine/core";
import type { Icon } from "@tabler/icons-react";

interface IconButtonProps extends ActionIconProps, ElementProps<"button", keyof ActionIconProps> {
  /** The name of the button. */
  label: string;
  /** Shown when the pointer is on it; true for its name. */
  tip?: string | true;
  icon: Icon;
  iconSize?: number;
}

/** A gray button that shows an icon only. */
export function IconButton({ label, tip, icon: Icon, iconSize = 18, ...props }: IconButtonProps) {
  const button = (
    <ActionIcon variant="subtle" color="gray" aria-label={label} {...props}>
      <Icon size={iconSize} aria-hidden />
    </ActionIcon>
  );
  return tip === undefined ? button : <Tooltip label={tip === true ? label : tip}>{button}</Tooltip>;
}
