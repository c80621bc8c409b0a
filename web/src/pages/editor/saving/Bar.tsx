import { Group, Text } from "@mantine/core";
import type { ReactNode } from "react";

interface BarProps {
  color: string;
  icon: ReactNode;
  children: ReactNode;
  actions?: ReactNode;
}

/** A notice with actions over the whole width. */
export function Bar({ color, icon, children, actions }: BarProps) {
  return (
    <Group
      role="status"
      px="md"
      py={8}
      gap="sm"
      justify="space-between"
      style={{
        background: `color-mix(in srgb, var(--${color}) 10%, var(--card))`,
        borderBottom: `1px solid var(--${color})`,
      }}
    >
      <Group gap="xs" c={`var(--${color})`} flex={1} miw={240} wrap="nowrap">
        {icon}
        <Text size="sm" c="var(--mantine-color-text)" component="div">
          {children}
        </Text>
      </Group>
      {actions !== undefined && <Group gap="xs">{actions}</Group>}
    </Group>
  );
}
