import { Box, Group, Text, UnstyledButton } from "@mantine/core";
import { IconAlertTriangle, IconCircleX, IconX } from "@tabler/icons-react";
import { IconButton } from "@/ui/IconButton";
import { Quiet } from "@/ui/Quiet";
import { useEditor, useEditorStore } from "./context";
import { inWords, type Problem } from "./problems";
import { calledIn } from "./store";
import { useUi } from "./ui";

/** A problem, linked to its node and field. */
export function ProblemLine({ problem }: { problem: Problem }) {
  const store = useEditorStore();
  const name = useEditor((state) => (problem.nodeId === null ? "Flow" : calledIn(state, problem.nodeId)));
  const Icon = problem.level === "error" ? IconCircleX : IconAlertTriangle;
  const color = problem.level === "error" ? "var(--failed)" : "var(--waiting)";
  return (
    <UnstyledButton
      w="100%"
      px="md"
      py={4}
      onClick={() => {
        if (problem.nodeId === null) store.getState().select([]);
        else store.getState().goTo(problem.nodeId, problem.field);
        useUi.getState().keep({ panel: true });
      }}
    >
      <Group gap="xs" wrap="nowrap">
        <Icon size={16} color={color} role="img" aria-label={problem.level === "error" ? "Error" : "Warning"} />
        <Text
          size="sm"
          fw={600}
          truncate
          maw="45%"
          style={{ flexShrink: 0 }}
          title={problem.nodeId === null ? undefined : `${name} (${problem.nodeId})`}
        >
          {name}
        </Text>
        <Text size="sm" truncate title={inWords(problem)}>
          {inWords(problem)}
        </Text>
      </Group>
    </UnstyledButton>
  );
}

/** All problems of the flow below the canvas, each linked to its node and field. */
export function Problems() {
  const open = useUi((ui) => ui.problems);
  const problems = useEditor((state) => state.check?.problems);
  if (!open) return null;
  return (
    <Box
      component="section"
      aria-label="Problems"
      bg="var(--card)"
      mah={190}
      style={{ borderTop: "1px solid var(--line)", overflowY: "auto", flexShrink: 0 }}
    >
      <Group justify="space-between" px="md" pt={6}>
        <Text fw={600} size="sm">
          Problems
        </Text>
        <IconButton
          label="Hide problems"
          tip
          icon={IconX}
          iconSize={16}
          data-next="[data-problems]"
          onClick={() => useUi.getState().set({ problems: false })}
        />
      </Group>
      {problems?.length === 0 && (
        <Quiet px="md" pb="xs">
          No problems.
        </Quiet>
      )}
      {problems?.map((problem) => (
        <ProblemLine key={`${problem.path} ${problem.message}`} problem={problem} />
      ))}
    </Box>
  );
}
