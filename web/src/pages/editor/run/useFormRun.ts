/** Running a node from within its form, as from the full-screen editor of its code. */
import { useMemo } from "react";
import type { NodeRun } from "@/forms/context";
import { useEditorRun } from "./useEditorRun";

export function useFormRun(nodeId: string): NodeRun {
  const { runNode, going } = useEditorRun();
  return useMemo(
    () => ({ label: "Run this node", start: () => void runNode(nodeId, true), busy: going }),
    [runNode, nodeId, going],
  );
}
