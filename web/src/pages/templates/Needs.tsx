import { Badge, Group } from "@mantine/core";
import { IconCircleCheck, IconKey, IconPlugConnected } from "@tabler/icons-react";
import { isReady, type Template } from "./templates";

/** The requirements of a template. */
export function Needs({ template }: { template: Template }) {
  if (isReady(template)) {
    return (
      <Badge
        variant="light"
        color="gray"
        tt="none"
        c="var(--success)"
        leftSection={<IconCircleCheck size={14} aria-hidden />}
      >
        Ready to run
      </Badge>
    );
  }
  const keys = template.credentials.length;
  return (
    <Group gap={6}>
      {keys > 0 && (
        <Badge
          variant="light"
          color="gray"
          c="var(--mantine-color-text)"
          tt="none"
          leftSection={<IconKey size={14} aria-hidden />}
        >
          {keys === 1 ? "1 credential" : `${keys} credentials`}
        </Badge>
      )}
      {(template.needs ?? []).map((need) => (
        <Badge
          key={need}
          variant="light"
          color="gray"
          c="var(--mantine-color-text)"
          tt="none"
          leftSection={<IconPlugConnected size={14} aria-hidden />}
        >
          Needs {need === "language model" ? "a language model" : need}
        </Badge>
      ))}
    </Group>
  );
}
