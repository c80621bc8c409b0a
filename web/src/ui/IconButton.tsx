import {
  ActionIcon,
  type ActionIconProps,
  CopyButton,
  type ElementProps,
  Tooltip,
  type TooltipProps,
} from "@mantine/core";
import { type Icon, IconCheck, IconCopy } from "@tabler/icons-react";

interface IconButtonProps extends ActionIconProps, ElementProps<"button", keyof ActionIconProps> {
  /** The name of the button. */
  label: string;
  /** Shown when the pointer is on it; true for its name. */
  tip?: string | true;
  /** Where it is, if it would cover other controls above the button. */
  tipAt?: Pick<TooltipProps, "position" | "offset">;
  icon: Icon;
  iconSize?: number;
}

/** A gray button that shows an icon only. */
export function IconButton({ label, tip, tipAt, icon: Icon, iconSize = 18, ...props }: IconButtonProps) {
  const button = (
    <ActionIcon variant="subtle" color="gray" aria-label={label} {...props}>
      <Icon size={iconSize} aria-hidden />
    </ActionIcon>
  );
  if (tip === undefined) return button;
  return (
    <Tooltip label={tip === true ? label : tip} {...tipAt}>
      {button}
    </Tooltip>
  );
}

/** A button that copies a text. */
export function CopyIcon({ value, label, tip = label }: { value: string; label: string; tip?: string }) {
  return (
    <CopyButton value={value}>
      {({ copied, copy }) => (
        <IconButton
          label={label}
          tip={copied ? "Copied" : tip}
          icon={copied ? IconCheck : IconCopy}
          iconSize={16}
          onClick={copy}
        />
      )}
    </CopyButton>
  );
}
