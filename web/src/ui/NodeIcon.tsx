/** The icon of a node type: its mark, the icon named in the catalog, or that of its category. */
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
  /** Letters on a color, for a service. */
  mark?: { text: string; color: string } | null;
}

export function lookOf(type: Shown | undefined): { icon: Icon; color: string } {
  const usual = CATEGORY[type?.category ?? ""] ?? { icon: icons.IconBox, color: "gray" };
  return { icon: byName(type?.icon) ?? usual.icon, color: usual.color };
}

const LIGHT = 0.36; // relative luminance: above it, dark letters have more contrast than white ones

/** Return the relative luminance of a color such as `#6b2a6b` (WCAG 2.2); 0 if it is not one. */
function luminanceOf(color: string): number {
  const parts = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(color)?.slice(1) ?? [];
  const [red = 0, green = 0, blue = 0] = parts.map((part) => {
    const share = Number.parseInt(part, 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** Return the color of letters on this color that is easier to read. */
export function inkOn(color: string): "#fff" | "#14171a" {
  return luminanceOf(color) > LIGHT ? "#14171a" : "#fff";
}

function LetterMark({ text, color, size }: { text: string; color: string; size: number }) {
  return (
    <Box
      component="span"
      aria-hidden
      display="inline-flex"
      w={size}
      h={size}
      bdrs="md"
      bg={color}
      c={inkOn(color)}
      fz={size * (text.length > 2 ? 0.36 : 0.44)}
      fw={700}
      // A dark color would vanish on a dark page without the line around it.
      style={{
        alignItems: "center",
        justifyContent: "center",
        flexShrink: 0,
        lineHeight: 1,
        boxShadow: "inset 0 0 0 1px rgb(255 255 255 / 22%)",
      }}
    >
      {text}
    </Box>
  );
}

export function NodeIcon({ type, size = 32 }: { type: Shown | undefined; size?: number }) {
  if (type?.mark) return <LetterMark {...type.mark} size={size} />;
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
