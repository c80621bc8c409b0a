import { Button, Group, Text } from "@mantine/core";
import { Suspense, useState } from "react";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { count } from "@/ui/format";
import { lazily } from "@/ui/lazily";
import { notify } from "@/ui/notify";
import type { Selection } from "@/ui/useSelection";
import { type Flow, useFlowActions } from "./flows";
import classes from "./flows.module.css";
import type { LabelDialog } from "./LabelDialogs";

const LabelDialogs = lazily(() => import("./LabelDialogs"));

type Act = "activate" | "deactivate" | "archive" | "restore" | "delete";

interface Wording {
  label: string;
  done: string;
  takes: (flow: Flow) => boolean;
  about: string;
}

const ACTS: Record<Act, Wording> = {
  activate: {
    label: "Activate",
    done: "activated",
    takes: (flow) => flow.status === "draft",
    about: "Their triggers then start runs. Unpublished changes are published in the same step.",
  },
  deactivate: {
    label: "Deactivate",
    done: "deactivated",
    takes: (flow) => flow.status === "active",
    about: "Their triggers no longer start runs. Runs in progress continue.",
  },
  archive: {
    label: "Archive",
    done: "archived",
    takes: (flow) => flow.status !== "archived",
    about:
      "The flows no longer start and are hidden from the list. You can find them with the filter Archived.",
  },
  restore: {
    label: "Restore",
    done: "restored as inactive",
    takes: (flow) => flow.status === "archived",
    about: "The flows are listed again, and are inactive.",
  },
  delete: {
    label: "Delete",
    done: "deleted",
    takes: () => true,
    about: "The flows and all their versions are deleted. Their runs are kept. This cannot be undone.",
  },
};

/** Return the number of flows with its noun. */
function flowsOf(number: number): string {
  return number === 1 ? "1 flow" : `${count(number)} flows`;
}

interface BulkBarProps {
  flows: Flow[];
  selection: Selection;
}

/** Actions on all selected flows. */
export function BulkBar({ flows, selection }: BulkBarProps) {
  const actions = useFlowActions();
  const [asking, setAsking] = useState<Act | LabelDialog | null>(null);
  const act = asking !== null && asking !== "move" && asking !== "tag" ? asking : null;
  const close = () => setAsking(null);

  function one(wanted: Act, flow: Flow): Promise<unknown> {
    if (wanted === "delete") return actions.remove(flow.id);
    if (wanted === "archive") return actions.setStatus(flow.id, "archived");
    if (wanted !== "activate") return actions.setStatus(flow.id, "draft");
    return flow.has_draft ? actions.publishActive(flow.id) : actions.setStatus(flow.id, "active");
  }
  async function all(wanted: Act) {
    let done = 0;
    const failed: [Flow, unknown][] = [];
    await actions.together(async () => {
      // One request at a time, to keep the load on the server low.
      for (const flow of flows.filter(ACTS[wanted].takes)) {
        try {
          await one(wanted, flow);
          done += 1;
        } catch (error) {
          failed.push([flow, error]);
        }
      }
    });
    if (done > 0) notify.done(`${flowsOf(done)} ${ACTS[wanted].done}`);
    const [first] = failed;
    if (first === undefined) selection.clear();
    else notify.refused(titleOf(failed.length, first[0], ACTS[wanted].done), first[1]);
  }

  return (
    <Group gap="xs" role="toolbar" aria-label="Selected flows" className={classes.bulk}>
      <Text size="sm" fw={600}>
        {count(flows.length)} selected
      </Text>
      {!selection.all && (
        <Button size="xs" variant="subtle" onClick={selection.toggleAll}>
          Select all listed
        </Button>
      )}
      <Button size="xs" variant="default" onClick={() => setAsking("move")}>
        Move…
      </Button>
      <Button size="xs" variant="default" onClick={() => setAsking("tag")}>
        Tags…
      </Button>
      {(Object.keys(ACTS) as Act[])
        .filter((name) => name !== "restore" || flows.some(ACTS.restore.takes))
        .map((name) => (
          <Button
            key={name}
            size="xs"
            variant="default"
            disabled={!flows.some(ACTS[name].takes)}
            onClick={() => setAsking(name)}
          >
            {ACTS[name].label}
          </Button>
        ))}
      <Button size="xs" variant="subtle" c="var(--quiet)" color="gray" onClick={selection.clear}>
        Clear selection
      </Button>
      {act !== null && (
        <ConfirmDialog
          opened
          onClose={close}
          title={`${ACTS[act].label} ${flowsOf(flows.filter(ACTS[act].takes).length)}?`}
          action={ACTS[act].label}
          danger={act === "delete"}
          onConfirm={() => all(act)}
        >
          {ACTS[act].about}
        </ConfirmDialog>
      )}
      {(asking === "move" || asking === "tag") && (
        <Suspense>
          <LabelDialogs asking={asking} flows={flows} onClose={close} onDone={selection.clear} />
        </Suspense>
      )}
    </Group>
  );
}

function titleOf(number: number, flow: Flow, done: string): string {
  if (number === 1) return `“${flow.name}” could not be ${done}`;
  return `${flowsOf(number)} could not be ${done}, among them “${flow.name}”`;
}
