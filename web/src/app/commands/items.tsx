/** The commands that open a flow or a run. */
import { IconPlayerPlay, IconRoute } from "@tabler/icons-react";
import type { Schemas } from "@/api/client";
import { shortId } from "@/runs/words";
import { wholeTime } from "@/ui/format";
import { FLOW_STATUS, labelOf, outcomeOf } from "@/ui/StatusBadge";

import type { Command, Recent } from "./commands";

type Go = (path: string) => void;
type Flow = Pick<Schemas["FlowItemOut"], "id" | "name" | "status">;
type Run = Schemas["RunItemOut"];

const FLOW = "flow ";
const RUN = "run ";
const PAGE = "page ";

export function asRecentFlow(flow: Pick<Flow, "id" | "name">): Recent {
  return { id: FLOW + flow.id, label: flow.name };
}

export function asRecentRun(run: Pick<Run, "id" | "workflow_name">): Recent {
  return { id: RUN + run.id, label: `${run.workflow_name}, run ${shortId(run.id)}` };
}

/** Return the address of the page that a recent item opens; null for an action. */
export function pathOf({ id }: Pick<Recent, "id">): string | null {
  if (id.startsWith(FLOW)) return `/flows/${id.slice(FLOW.length)}`;
  if (id.startsWith(RUN)) return `/runs/${id.slice(RUN.length)}`;
  return id.startsWith(PAGE) ? id.slice(PAGE.length) : null;
}

function flowCommand({ id, label }: Recent, go: Go): Command {
  return {
    id,
    label,
    group: "Flows",
    icon: <IconRoute size={18} stroke={1.7} aria-hidden />,
    searched: true,
    run: () => go(`/flows/${id.slice(FLOW.length)}`),
  };
}

function runCommand({ id, label }: Recent, go: Go): Command {
  return {
    id,
    label,
    group: "Runs",
    icon: <IconPlayerPlay size={18} stroke={1.7} aria-hidden />,
    searched: true,
    run: () => go(`/runs/${id.slice(RUN.length)}`),
  };
}

/** Return the command of a flow that the server found. */
export function foundFlow(flow: Flow, go: Go): Command {
  return { ...flowCommand(asRecentFlow(flow), go), about: FLOW_STATUS[flow.status], found: true };
}

/** Return the command of a run that the server found. */
export function foundRun(run: Run, go: Go): Command {
  const about = `${labelOf(outcomeOf(run))}, ${wholeTime(run.created_at)}`;
  return { ...runCommand(asRecentRun(run), go), about, found: true };
}

/** Return the commands of the flows and runs among the recent items. */
export function recentCommands(recent: readonly Recent[], go: Go): Command[] {
  return recent.flatMap((item) => {
    if (item.id.startsWith(FLOW)) return [flowCommand(item, go)];
    return item.id.startsWith(RUN) ? [runCommand(item, go)] : [];
  });
}
