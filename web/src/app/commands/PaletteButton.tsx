import { ActionIcon, Group, Kbd, Text, UnstyledButton } from "@mantine/core";
import { IconSearch } from "@tabler/icons-react";
import { type ReactNode, Suspense, useEffect, useState } from "react";
import { lazily } from "@/ui/lazily";
import { isPaletteKey, PALETTE_KEY } from "./keys";

const LABEL = "Search and commands";
const CommandPalette = lazily(() => import("./CommandPalette"));

/** Return true if a dialog is open: its input would be lost on another page. */
function isInDialog(): boolean {
  return document.querySelector("[role=dialog][aria-modal=true]") !== null;
}

interface Opening {
  open: () => void;
  /** The palette, once it was opened: its code is loaded then. */
  palette: ReactNode;
}

/** The command palette and its key. */
export function usePalette(): Opening {
  const [state, setState] = useState({ wanted: false, opened: false });
  const open = () => setState({ wanted: true, opened: true });
  useEffect(() => {
    function onKeyDown(event: KeyboardEvent) {
      if (!isPaletteKey(event) || event.defaultPrevented) return;
      event.preventDefault();
      if (!isInDialog()) setState({ wanted: true, opened: true });
    }
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  }, []);
  const palette = state.wanted && (
    <Suspense fallback={null}>
      <CommandPalette opened={state.opened} onClose={() => setState({ wanted: true, opened: false })} />
    </Suspense>
  );
  return { open, palette };
}

interface PaletteButtonProps {
  compact: boolean;
  onClick: () => void;
}

/** The button that opens the command palette: with its shortcut in the navigation, as an icon on small screens. */
export function PaletteButton({ compact, onClick }: PaletteButtonProps) {
  if (compact) {
    return (
      <ActionIcon
        variant="subtle"
        color="gray"
        size={44}
        title={`${LABEL} (${PALETTE_KEY})`}
        aria-label={LABEL}
        onClick={onClick}
      >
        <IconSearch size={18} stroke={1.7} aria-hidden />
      </ActionIcon>
    );
  }
  return (
    <UnstyledButton w="100%" px="xs" py={6} bdrs="md" bd="1px solid var(--line)" onClick={onClick}>
      <Group gap="xs" wrap="nowrap">
        <IconSearch size={18} stroke={1.7} aria-hidden />
        <Text size="sm" c="var(--quiet)" flex={1}>
          Search
        </Text>
        <Kbd size="xs">{PALETTE_KEY}</Kbd>
      </Group>
    </UnstyledButton>
  );
}
