import { ActionIcon, Menu } from "@mantine/core";
import {
  IconDots,
  IconPencil,
  IconPlayerPlay,
  IconPlayerSkipForward,
  IconPlayerStop,
  IconTrash,
} from "@tabler/icons-react";
import { useState } from "react";
import { Link, useLocation } from "wouter";
import { useSession } from "@/app/session";
import { agentOf, definitionAt } from "@/runs/links";
import { hasEnded } from "@/runs/moving";
import { type RetryChoice, useRunActions } from "@/runs/useRunActions";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { notify } from "@/ui/notify";
import type { ListedRun } from "./useRuns";

/** The menu of actions on a run in a list. */
export function RunMenu({ run }: { run: ListedRun }) {
  const { may } = useSession();
  const actions = useRunActions();
  const [, go] = useLocation();
  const [asking, setAsking] = useState<"cancel" | "delete" | null>(null);
  const ended = hasEnded(run);
  const isAgent = agentOf(run) !== undefined;

  async function retry(choice: RetryChoice) {
    try {
      const made = await actions.retry(run, choice);
      go(`/runs/${made.id}`);
    } catch (error) {
      notify.refused("The run could not be retried", error);
    }
  }

  return (
    <>
      <Menu position="bottom-end" shadow="md">
        <Menu.Target>
          <ActionIcon
            variant="subtle"
            color="gray"
            size="lg"
            aria-label={`Actions for the run of ${run.workflow_name}`}
          >
            <IconDots size={18} aria-hidden />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          {!ended && (
            <Menu.Item
              leftSection={<IconPlayerStop size={16} aria-hidden />}
              disabled={!may("operator")}
              onClick={() => setAsking("cancel")}
            >
              Cancel
            </Menu.Item>
          )}
          {run.status === "failed" && !isAgent && (
            <Menu.Item
              leftSection={<IconPlayerSkipForward size={16} aria-hidden />}
              disabled={!may("operator")}
              onClick={() => void retry({ from: "failed", version: "latest" })}
            >
              Retry from the failed node
            </Menu.Item>
          )}
          {ended && !isAgent && (
            <Menu.Item
              leftSection={<IconPlayerPlay size={16} aria-hidden />}
              disabled={!may("operator")}
              onClick={() => void retry({ from: "start", version: "latest" })}
            >
              Run again from the start
            </Menu.Item>
          )}
          <Menu.Item
            component={Link}
            href={definitionAt(run)}
            leftSection={<IconPencil size={16} aria-hidden />}
          >
            {isAgent ? "Open agent" : "Open flow"}
          </Menu.Item>
          {ended && (
            <Menu.Item
              leftSection={<IconTrash size={16} aria-hidden />}
              c="var(--failed)"
              disabled={!may("editor")}
              onClick={() => setAsking("delete")}
            >
              Delete
            </Menu.Item>
          )}
        </Menu.Dropdown>
      </Menu>
      <ConfirmDialog
        opened={asking === "cancel"}
        onClose={() => setAsking(null)}
        title="Cancel this run?"
        action="Cancel run"
        danger
        onConfirm={() => actions.cancel(run)}
      >
        Changes already made are not undone. You can run it again later.
      </ConfirmDialog>
      <ConfirmDialog
        opened={asking === "delete"}
        onClose={() => setAsking(null)}
        title="Delete this run?"
        action="Delete"
        danger
        onConfirm={() => actions.remove(run)}
      >
        Its steps and its log are deleted too. This cannot be undone.
      </ConfirmDialog>
    </>
  );
}
