import { Group, Text } from "@mantine/core";
import {
  IconCircleCheck,
  IconCircleDashed,
  IconCircleMinus,
  IconCircleX,
  IconClockPause,
  IconLoader2,
  IconPlayerPause,
  IconRepeat,
} from "@tabler/icons-react";
import type { Schemas } from "@/api/client";
import classes from "./status.module.css";

/** Labels of a flow's status; the API calls an inactive flow a draft. */
export const FLOW_STATUS: Record<string, string> = {
  draft: "Inactive",
  active: "Active",
  archived: "Archived",
};

export type Outcome =
  | "success"
  | "failed"
  | "running"
  | "pending"
  | "waiting"
  | "repeated"
  | "skipped"
  | "cancelled"
  | "none";

/** Return the outcome of a run: like its status, but waiting and cancelled runs have their own. */
export function outcomeOf(
  run: Pick<Schemas["RunOut"], "status"> & { waiting?: string | null; cancelled?: boolean },
): Outcome {
  if (run.cancelled) return "cancelled";
  if (run.status === "pending" && run.waiting) return "waiting";
  return run.status;
}

const LOOKS: Record<Outcome, { icon: typeof IconCircleCheck; label: string; color: string }> = {
  success: { icon: IconCircleCheck, label: "Succeeded", color: "var(--success)" },
  failed: { icon: IconCircleX, label: "Failed", color: "var(--failed)" },
  running: { icon: IconLoader2, label: "Running", color: "var(--running)" },
  pending: { icon: IconClockPause, label: "Queued", color: "var(--skipped)" },
  waiting: { icon: IconPlayerPause, label: "Waiting", color: "var(--waiting)" },
  repeated: { icon: IconRepeat, label: "Repeated", color: "var(--skipped)" },
  skipped: { icon: IconCircleMinus, label: "Skipped", color: "var(--skipped)" },
  cancelled: { icon: IconCircleMinus, label: "Cancelled", color: "var(--skipped)" },
  none: { icon: IconCircleDashed, label: "Never run", color: "var(--skipped)" },
};

export function labelOf(outcome: Outcome): string {
  return LOOKS[outcome].label;
}

/** An icon with the outcome's color and shape, and its label: never the color alone. */
export function StatusBadge({ outcome, iconOnly = false }: { outcome: Outcome; iconOnly?: boolean }) {
  const { icon: Icon, label, color } = LOOKS[outcome];
  return (
    <Group gap={6} wrap="nowrap" c={color} display="inline-flex" title={iconOnly ? label : undefined}>
      <Icon
        size={18}
        stroke={2}
        className={outcome === "running" ? classes.spin : undefined}
        aria-hidden={!iconOnly}
        aria-label={iconOnly ? label : undefined}
        role={iconOnly ? "img" : undefined}
      />
      {!iconOnly && (
        <Text component="span" size="sm" fw={550} c="inherit">
          {label}
        </Text>
      )}
    </Group>
  );
}
