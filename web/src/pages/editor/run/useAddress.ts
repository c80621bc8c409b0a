import { useEffect } from "react";
import { useEditorStore } from "../context";
import { useRunStore } from "./runStore";

/** Handle a link into the editor once: `?node=` selects a node, `?run=` shows a run on the canvas. */
export function useAddress(): void {
  const store = useEditorStore();
  const set = useRunStore((known) => known.set);
  useEffect(() => {
    const asked = new URLSearchParams(window.location.search);
    const { flow, definition, goTo } = store.getState();
    const [run, node] = [asked.get("run"), asked.get("node")];
    if (run !== null) set(flow.id, { runId: run, jumped: run, refusal: null });
    if (definition.nodes.some((one) => one.id === node)) goTo(node ?? "");
  }, [store, set]);
}
