import { useEffect } from "react";
import { useSession } from "@/app/session";
import type { Json } from "@/definition/types";
import { notify } from "@/ui/notify";
import { useEditorStore } from "../context";
import { type EditorRun, outputOf } from "./useEditorRun";

/** Let the keys pin a node's output in the run on the canvas. Use it in one place only. */
export function usePinOutput({ run, states }: EditorRun): void {
  const store = useEditorStore();
  const { may } = useSession();
  const mayEdit = may("editor");
  useEffect(() => {
    if (run === undefined || !mayEdit) return;
    async function pin(runId: string, nodeId: string) {
      const state = states.get(nodeId);
      if (state?.outcome !== "success")
        return notify.hint("The node has no output in the run on the canvas to pin");
      try {
        const output: Json = await outputOf(runId, state);
        store.getState().pin(nodeId, { output, branch: state.branch });
      } catch (error) {
        notify.refused("The output could not be pinned", error);
      }
    }
    store.getState().setPinOutput((nodeId) => void pin(run.id, nodeId));
    return () => store.getState().setPinOutput(null);
  }, [run, states, mayEdit, store]);
}
