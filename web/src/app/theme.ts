import { type CSSVariablesResolver, createTheme, type MantineColorsTuple, rem } from "@mantine/core";

/** The brand color: water in a channel. */
const water: MantineColorsTuple = [
  "#e3f8fc",
  "#cdeef5",
  "#9fdbe7",
  "#6dc7d9",
  "#45b6cd",
  "#2dabc6",
  "#0b7f96",
  "#0a6f84",
  "#065f71",
  "#024b5a",
];

const dark: MantineColorsTuple = [
  "#d5dbe0",
  "#b3bcc4",
  "#929da7",
  "#6f7b86",
  "#48545f",
  "#343f49",
  "#27313a",
  "#1c242b",
  "#151b21",
  "#0f1419",
];

export const theme = createTheme({
  colors: { water, dark },
  primaryColor: "water",
  primaryShade: { light: 7, dark: 6 },
  fontFamily: "'Inter Variable', system-ui, -apple-system, 'Segoe UI', sans-serif",
  fontFamilyMonospace: "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace",
  headings: {
    fontWeight: "650",
    sizes: {
      h1: { fontSize: rem(24), lineHeight: "1.3" },
      h2: { fontSize: rem(18), lineHeight: "1.35" },
      h3: { fontSize: rem(15), lineHeight: "1.4" },
    },
  },
  defaultRadius: "md",
  cursorType: "pointer",
  focusRing: "auto",
  respectReducedMotion: true,
  components: {
    // Plain objects instead of `Modal.extend(…)`: the first page needs no dialog.
    // Mantine's focus placeholder is not a menu item, and a menu may contain only menu items.
    Menu: { defaultProps: { withInitialFocusPlaceholder: false } },
    Modal: {
      defaultProps: { closeButtonProps: { "aria-label": "Close" } },
      styles: { title: { fontSize: rem(18), fontWeight: 650 } },
    },
    // Most choices have no "none".
    Select: { defaultProps: { allowDeselect: false } },
    // A pointer on its way to something else shows none.
    Tooltip: { defaultProps: { openDelay: 300 } },
  },
});

/** Mantine's dimmed texts and errors have too little contrast for WCAG on our page; they use our colors. */
export const variables: CSSVariablesResolver = () => {
  const ours = {
    "--mantine-color-dimmed": "var(--quiet)",
    "--mantine-color-placeholder": "var(--quiet)",
    "--mantine-color-error": "var(--failed)",
  };
  const red = {
    // Many pages show several errors at once; Mantine's dark red would dominate each of them.
    "--mantine-color-red-light": "color-mix(in srgb, var(--failed) 14%, var(--card))",
    // Mantine's color of text on it is nearly white.
    "--mantine-color-red-light-color": "var(--failed)",
  };
  return { variables: {}, light: ours, dark: { ...ours, ...red } };
};
