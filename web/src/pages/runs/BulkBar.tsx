import { Button, Group, Text } from "@mantine/core";
import { useState } from "react";
import { useSession } from "@/app/session";
import { hasEnded } from "@/runs/moving";
import { useRunActions } from "@/runs/useRunActions";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { count } from "@/ui/format";
import { notify } from "@/ui/notify";
import type { ListedRun } from "./useRuns";

type Act = "cancel" | "retry" | "delete";

const ACTS: Record<Act, { label: string; done: string; role: "operator" | "editor"; about: string }> = {
  cancel: {
    label: "Cancel",
    done: "cancelled",
    role: "operator",
    about: "Changes already made are not undone.",
  },
  retry: {
    label: "Run again",
    done: "restarted",
    role: "operator",
    about:
      "Each run is repeated with the latest version of its flow. Failed runs continue from the failed node.",
  },
  delete: {
    label: "Delete",
    done: "deleted",
    role: "editor",
    about: "Their steps and logs are deleted too. This cannot be undone.",
  },
};

function takes(act: Act, run: ListedRun): boolean {
  return act === "cancel" ? !hasEnded(run) : hasEnded(run);
}

/** Actions on all selected runs. */
export function BulkBar({ runs, onDone }: { runs: ListedRun[]; onDone: () => void }) {
  const { may } = useSession();
  const actions = useRunActions();
  const [asking, setAsking] = useState<Act | null>(null);

  /** Resolve to false if there was nothing left to do. */
  function one(act: Act, run: ListedRun): Promise<unknown> {
    if (act === "cancel") return actions.cancel(run);
    if (act === "delete") return actions.remove(run);
    return actions.retry(run, { from: run.status === "failed" ? "failed" : "start", version: "latest" });
  }
  async function all(act: Act) {
    let done = 0;
    let refused: unknown = null;
    // One request at a time, to keep the load on the server low.
    for (const run of runs.filter((each) => takes(act, each))) {
      try {
        if ((await one(act, run)) !== false) done += 1;
      } catch (error) {
        refused ??= error;
      }
    }
    if (done > 0) notify.done(`${count(done)} ${done === 1 ? "run" : "runs"} ${ACTS[act].done}`);
    if (refused !== null) notify.refused("Some runs could not be changed", refused);
    onDone();
  }

  return (
    <Group gap="xs" role="toolbar" aria-label="Selected runs">
      <Text size="sm" fw={600}>
        {count(runs.length)} selected
      </Text>
      {(Object.keys(ACTS) as Act[]).map((act) => (
        <Button
          key={act}
          size="xs"
          variant="default"
          disabled={!may(ACTS[act].role) || !runs.some((run) => takes(act, run))}
          onClick={() => setAsking(act)}
        >
          {ACTS[act].label}
        </Button>
      ))}
      <Button size="xs" variant="subtle" c="var(--quiet)" color="gray" onClick={onDone}>
        Clear selection
      </Button>
      {asking !== null && (
        <ConfirmDialog
          opened
          onClose={() => setAsking(null)}
          title={`${ACTS[asking].label} ${count(runs.filter((run) => takes(asking, run)).length)} runs?`}
          action={ACTS[asking].label}
          danger={asking !== "retry"}
          onConfirm={() => all(asking)}
        >
          {ACTS[asking].about}
        </ConfirmDialog>
      )}
    </Group>
  );
}
