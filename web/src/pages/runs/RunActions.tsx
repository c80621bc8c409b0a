import { Button, Group, Menu, Tooltip } from "@mantine/core";
import { IconChevronDown, IconPencil, IconPlayerStop, IconRefresh, IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import { Link, useLocation } from "wouter";
import { useSession } from "@/app/session";
import type { Json } from "@/definition/types";
import type { Asked } from "@/runs/input/asked";
import { InputDialog } from "@/runs/input/InputDialog";
import { agentOf, inEditor } from "@/runs/links";
import { hasEnded } from "@/runs/moving";
import type { Run } from "@/runs/useRun";
import { type RetryChoice, useRunActions } from "@/runs/useRunActions";
import { fetchWhole } from "@/runs/values";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { notify } from "@/ui/notify";
import { useEditsHere } from "./useEditsHere";

/** Retry the run and open the new run. */
export function useRetry(run: Run) {
  const actions = useRunActions();
  const [, go] = useLocation();
  const [busy, setBusy] = useState(false);
  async function retry(choice: RetryChoice) {
    setBusy(true);
    try {
      const made = await actions.retry(run, choice);
      go(`/runs/${made.id}`);
    } catch (error) {
      notify.refused("The run could not be retried", error);
    } finally {
      setBusy(false);
    }
  }
  return { retry, busy };
}

/** The actions on the run. */
export function RunActions({ run, node }: { run: Run; node: string | null }) {
  const editsHere = useEditsHere();
  const ended = hasEnded(run);
  const isAgent = agentOf(run) !== undefined;
  return (
    <Group gap="xs">
      {!ended && <Stop run={run} />}
      {ended && !isAgent && <RetryMenu run={run} />}
      <Button
        variant="default"
        component={Link}
        href={inEditor(run, node)}
        leftSection={<IconPencil size={16} aria-hidden />}
      >
        {isAgent ? "Open agent" : editsHere ? "Edit flow" : "Open flow"}
      </Button>
      {ended && <Delete run={run} />}
    </Group>
  );
}

/** Ask for another input, starting with the run's own, and run the current version of the flow. */
function useAnotherInput(run: Run) {
  const actions = useRunActions();
  const [, go] = useLocation();
  const [asking, setAsking] = useState<{ asked: Asked; initial: Json } | null>(null);
  async function ask() {
    try {
      const [asked, input] = await Promise.all([actions.asked(run.workflow_id), fetchWhole(run.input)]);
      setAsking({ asked, initial: input as Json });
    } catch (error) {
      notify.refused("The flow could not be run", error);
    }
  }
  const dialog = asking && (
    <InputDialog
      {...asking}
      flowId={run.workflow_id}
      title={`Run “${run.workflow_name}”`}
      hint="Optional input of the run."
      onClose={() => setAsking(null)}
      onRun={async (input) => {
        const made = await actions.start(run.workflow_id, input);
        setAsking(null);
        go(`/runs/${made.id}`);
      }}
    />
  );
  return { ask, dialog };
}

function RetryMenu({ run }: { run: Run }) {
  const { may } = useSession();
  const another = useAnotherInput(run);
  const { retry, busy } = useRetry(run);
  const failed = run.status === "failed";
  const same = run.draft
    ? "with the unsaved flow of this run"
    : `with version ${run.workflow_version} (this run's version)`;
  return (
    <>
      <Menu position="bottom-end" shadow="md" disabled={!may("operator")}>
        <Menu.Target>
          <Tooltip label="Requires the operator role" disabled={may("operator")}>
            <Button
              variant="default"
              loading={busy}
              data-disabled={!may("operator") || undefined}
              leftSection={<IconRefresh size={16} aria-hidden />}
              rightSection={<IconChevronDown size={14} aria-hidden />}
            >
              {failed ? "Retry" : "Run again"}
            </Button>
          </Tooltip>
        </Menu.Target>
        <Menu.Dropdown>
          {!run.draft && (
            <>
              <Menu.Label>With the latest version</Menu.Label>
              {failed && (
                <Menu.Item onClick={() => void retry({ from: "failed", version: "latest" })}>
                  From the failed node
                </Menu.Item>
              )}
              <Menu.Item onClick={() => void retry({ from: "start", version: "latest" })}>
                From the start
              </Menu.Item>
              <Menu.Item onClick={() => void another.ask()}>With another input…</Menu.Item>
            </>
          )}
          <Menu.Label>{same.charAt(0).toUpperCase() + same.slice(1)}</Menu.Label>
          {failed && (
            <Menu.Item onClick={() => void retry({ from: "failed", version: "same" })}>
              From the failed node
            </Menu.Item>
          )}
          <Menu.Item onClick={() => void retry({ from: "start", version: "same" })}>From the start</Menu.Item>
        </Menu.Dropdown>
      </Menu>
      {another.dialog}
    </>
  );
}

function Stop({ run }: { run: Run }) {
  const { may } = useSession();
  const actions = useRunActions();
  const [asking, setAsking] = useState(false);
  return (
    <>
      <Tooltip label="Requires the operator role" disabled={may("operator")}>
        <Button
          variant="default"
          data-disabled={!may("operator") || undefined}
          leftSection={<IconPlayerStop size={16} aria-hidden />}
          onClick={() => may("operator") && setAsking(true)}
        >
          Cancel run
        </Button>
      </Tooltip>
      <ConfirmDialog
        opened={asking}
        onClose={() => setAsking(false)}
        title="Cancel this run?"
        action="Cancel run"
        danger
        onConfirm={() => actions.cancel(run)}
      >
        Changes already made are not undone. You can run it again later.
      </ConfirmDialog>
    </>
  );
}

function Delete({ run }: { run: Run }) {
  const { may } = useSession();
  const actions = useRunActions();
  const [, go] = useLocation();
  const [asking, setAsking] = useState(false);
  if (!may("editor")) return null;
  return (
    <>
      <Button
        variant="default"
        c="var(--failed)"
        leftSection={<IconTrash size={16} aria-hidden />}
        onClick={() => setAsking(true)}
      >
        Delete
      </Button>
      <ConfirmDialog
        opened={asking}
        onClose={() => setAsking(false)}
        title="Delete this run?"
        action="Delete"
        danger
        onConfirm={async () => {
          await actions.remove(run);
          notify.done("Run deleted");
          go("/runs");
        }}
      >
        Its steps and its log are deleted too. This cannot be undone.
      </ConfirmDialog>
    </>
  );
}
