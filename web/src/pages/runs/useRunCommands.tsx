/** The commands of the page of a run in the command palette. */
import { IconPlayerPlay, IconRoute } from "@tabler/icons-react";
import { useLocation } from "wouter";
import { useCommands } from "@/app/commands/commands";
import { agentOf, inEditor } from "@/runs/links";
import type { Run } from "@/runs/useRun";

export function useRunCommands(run: Run | undefined, nodeId: string | null): void {
  const [, go] = useLocation();
  useCommands(() => {
    if (run === undefined || agentOf(run) !== undefined) return [];
    return [
      {
        id: "page-run editor",
        label: "Open this run in the editor",
        group: "This page",
        icon: <IconRoute size={18} stroke={1.7} aria-hidden />,
        run: () => go(inEditor(run, nodeId)),
      },
      {
        id: "page-run others",
        label: "All runs of this flow",
        group: "This page",
        icon: <IconPlayerPlay size={18} stroke={1.7} aria-hidden />,
        run: () => go(`/runs?flow=${run.workflow_id}`),
      },
    ];
  });
}
