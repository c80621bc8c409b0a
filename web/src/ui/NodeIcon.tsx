/** The icon of a node type: the icon named in the catalog, or that of its category. */
import { Box } from "@mantine/core";
import type { Icon } from "@tabler/icons-react";
import * as icons from "./nodeIcons";

const CATEGORY: Record<string, { icon: Icon; color: string }> = {
  trigger: { icon: icons.IconBolt, color: "orange" },
  logic: { icon: icons.IconArrowsSplit2, color: "grape" },
  data: { icon: icons.IconBraces, color: "blue" },
  integration: { icon: icons.IconPlug, color: "teal" },
  storage: { icon: icons.IconDatabase, color: "indigo" },
  output: { icon: icons.IconSend, color: "pink" },
  ai: { icon: icons.IconSparkles, color: "violet" },
};

/** "arrows-split-2" -> IconArrowsSplit2, if the app has it. */
function byName(name: string | undefined): Icon | undefined {
  if (!name) return undefined;
  const pascal = name.replace(/(^|-)([a-z0-9])/g, (_whole, _dash, letter: string) => letter.toUpperCase());
  return (icons as unknown as Record<string, Icon | undefined>)[`Icon${pascal}`];
}

interface Shown {
  category: string;
  icon?: string;
}

export function lookOf(type: Shown | undefined): { icon: Icon; color: string } {
  const usual = CATEGORY[type?.category ?? ""] ?? { icon: icons.IconBox, color: "gray" };
  return { icon: byName(type?.icon) ?? usual.icon, color: usual.color };
}

export function NodeIcon({ type, size = 32 }: { type: Shown | undefined; size?: number }) {
  const { icon: Shape, color } = lookOf(type);
  return (
    <Box
      component="span"
      display="inline-flex"
      w={size}
      h={size}
      bdrs="md"
      bg={`var(--mantine-color-${color}-light)`}
      c={`var(--mantine-color-${color}-light-color)`}
      style={{ alignItems: "center", justifyContent: "center", flexShrink: 0 }}
    >
      <Shape size={size * 0.6} stroke={1.8} aria-hidden />
    </Box>
  );
}
