/** The frame of every page: navigation, workspace and user menu. */
import { AppShell, Box, Burger, Group, ScrollArea, Text, UnstyledButton } from "@mantine/core";
import { useDisclosure, useMediaQuery } from "@mantine/hooks";
import { type ReactNode, Suspense, useEffect } from "react";
import { Link, useLocation, useRoute } from "wouter";
import { lazily } from "@/ui/lazily";
import { PaletteButton, usePalette } from "../commands/PaletteButton";
import mark from "../mark.svg?inline";
import { useSession } from "../session";
import { useTour } from "../tour/tour";
import { Places } from "./Places";
import { ServerAway } from "./ServerAway";
import { Paused, Version } from "./ServerState";
import classes from "./shell.module.css";
import { UserMenu } from "./UserMenu";
import { WorkspaceMenu } from "./WorkspaceMenu";

const TourCard = lazily(() => import("../tour/TourCard"));

/** Return true if the menu shows icons only: beside the canvas, on a screen wider than a phone. */
function useCompact(): boolean {
  const [onCanvas] = useRoute("/flows/:id");
  const isPhone = useMediaQuery("(max-width: 48em)", false, { getInitialValueInEffect: false });
  return onCanvas && !isPhone;
}

export function Shell({ children }: { children: ReactNode }) {
  const [opened, { toggle, close }] = useDisclosure();
  const [here] = useLocation();
  const compact = useCompact();
  const { open, palette } = usePalette();
  // biome-ignore lint/correctness/useExhaustiveDependencies: opening a page closes the menu of a phone
  useEffect(close, [here]);
  return (
    <AppShell
      navbar={{ width: compact ? 60 : 228, breakpoint: "sm", collapsed: { mobile: !opened } }}
      header={{ height: { base: 52, sm: 0 } }}
      padding={0}
      transitionDuration={0}
    >
      <a href="#content" className="skip-link">
        Skip to content
      </a>
      <AppShell.Header hiddenFrom="sm" bg="var(--card)">
        <Group h="100%" px="sm">
          <Burger
            opened={opened}
            onClick={toggle}
            size="sm"
            aria-label={opened ? "Close menu" : "Open menu"}
          />
          <Wordmark compact={false} />
          <Box ml="auto">
            <PaletteButton compact onClick={open} />
          </Box>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p={compact ? 8 : "sm"} bg="var(--card)" aria-label="Main">
        <AppShell.Section visibleFrom="sm" mb="sm" px={compact ? 10 : 4} pt={4}>
          <Wordmark compact={compact} />
        </AppShell.Section>
        <AppShell.Section mb="sm">
          <WorkspaceMenu compact={compact} />
        </AppShell.Section>
        <AppShell.Section mb="sm" visibleFrom="sm">
          <PaletteButton compact={compact} onClick={open} />
        </AppShell.Section>
        <AppShell.Section grow component={ScrollArea} type="auto">
          <Places compact={compact} onGo={close} />
        </AppShell.Section>
        <AppShell.Section>
          <UserMenu compact={compact} />
          {!compact && <Version />}
        </AppShell.Section>
      </AppShell.Navbar>
      <AppShell.Main h="100dvh" className={classes.main}>
        <Paused />
        <div id="content" tabIndex={-1} className={classes.content}>
          <ServerAway />
          {children}
        </div>
      </AppShell.Main>
      {palette}
      <TourHere />
    </AppShell>
  );
}

function Wordmark({ compact }: { compact: boolean }) {
  return (
    <UnstyledButton component={Link} href="/" aria-label="Headrace: go to dashboard">
      <Group gap={8} wrap="nowrap">
        <img src={mark} alt="" width={24} height={24} />
        {!compact && (
          <Text fw={700} size="lg" lts="-0.01em">
            Headrace
          </Text>
        )}
      </Group>
    </UnstyledButton>
  );
}

/** The tour, while it is on. */
function TourHere() {
  const { user } = useSession();
  const { step } = useTour(user.id);
  if (step === null) return null;
  return (
    <Suspense fallback={null}>
      <TourCard userId={user.id} at={step} />
    </Suspense>
  );
}
