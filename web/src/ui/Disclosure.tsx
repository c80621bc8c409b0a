import { Group, UnstyledButton } from "@mantine/core";
import { IconChevronDown, IconChevronRight } from "@tabler/icons-react";
import { type ReactNode, useState } from "react";

/** Content below its title, which opens and closes it. */
export function Disclosure({ title, children }: { title: string; children: ReactNode }) {
  const [open, setOpen] = useState(false);
  const Icon = open ? IconChevronDown : IconChevronRight;
  return (
    <div>
      <UnstyledButton fz="sm" c="var(--mantine-color-anchor)" aria-expanded={open} onClick={() => setOpen(!open)}>
        <Group gap={4} wrap="nowrap">
          <Icon size={16} aria-hidden />
          {title}
        </Group>
      </UnstyledButton>
      {open && children}
    </div>
  );
}
