import { ActionIcon, Tooltip } from "@mantine/core";
import { IconPlayerPlay } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useLocation } from "wouter";
import { useSession } from "@/app/session";
import type { Json } from "@/definition/types";
import type { Asked } from "@/runs/input/asked";
import { lastCalled } from "@/runs/input/calls";
import { InputDialog } from "@/runs/input/InputDialog";
import { lastInput } from "@/runs/input/lastInput";
import { useRunActions } from "@/runs/useRunActions";
import { notify } from "@/ui/notify";
import type { Flow } from "./flows";

/** Run the saved flow from the list, also for operators who do not edit it. */
export function RunFlow({ flow }: { flow: Flow }) {
  const { may } = useSession();
  const actions = useRunActions();
  const [, go] = useLocation();
  const [busy, setBusy] = useState(false);
  const [asked, setAsked] = useState<Asked | null>(null);
  const [initial, setInitial] = useState<Json>();
  const client = useQueryClient();
  if (!may("operator") || flow.status === "archived") return null;

  async function ask() {
    setBusy(true);
    try {
      const [asking, called] = await Promise.all([
        actions.asked(flow.id),
        lastInput(flow.id) === null ? lastCalled(client, flow.id).catch(() => undefined) : undefined,
      ]);
      setInitial(called);
      setAsked(asking);
    } catch (error) {
      notify.refused(`“${flow.name}” could not be run`, error);
    } finally {
      setBusy(false);
    }
  }
  return (
    <>
      <Tooltip label="Run" openDelay={300}>
        <ActionIcon
          variant="subtle"
          color="gray"
          c="var(--quiet)"
          aria-label={`Run ${flow.name}`}
          loading={busy}
          onClick={() => void ask()}
        >
          <IconPlayerPlay size={18} aria-hidden />
        </ActionIcon>
      </Tooltip>
      {asked !== null && (
        <InputDialog
          flowId={flow.id}
          asked={asked}
          initial={initial}
          title={`Run “${flow.name}”`}
          hint="Optional input of the run."
          onClose={() => setAsked(null)}
          onRun={async (input) => go(`/runs/${(await actions.start(flow.id, input)).id}`)}
        />
      )}
    </>
  );
}
