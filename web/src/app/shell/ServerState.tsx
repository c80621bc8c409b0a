/** The server's version, and a notice if it is paused. */
import { Code, Group, Text } from "@mantine/core";
import { IconPlayerPause } from "@tabler/icons-react";
import { useServerState } from "@/api/packs";
import classes from "./shell.module.css";

export function Version() {
  const state = useServerState();
  if (state === undefined) return null;
  return (
    <Text size="xs" c="var(--quiet)" px="xs" pt={4}>
      Headrace {state.version}
    </Text>
  );
}

/** Show a notice on every page while the server is paused: after a restore from a backup, or by a setting. */
export function Paused() {
  const state = useServerState();
  if (!state?.paused) return null;
  return (
    <Group role="status" px="md" py={8} gap="xs" wrap="nowrap" className={classes.paused}>
      <IconPlayerPause size={18} color="var(--waiting)" aria-hidden style={{ flexShrink: 0 }} />
      <Text size="sm">
        The server is paused: triggers do not start flows, and new runs are refused. An administrator can
        resume it with the command <Code>resume</Code>.
      </Text>
    </Group>
  );
}
