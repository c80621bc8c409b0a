/**
 * Where the parts of others come into the editor. Each reads what it needs with `useEditor`; the frame only gives it a
 * place. A part that is `null` has no place.
 */
import type { ComponentType } from "react";
import type { FlowNode } from "@/definition/types";
import { RunButton } from "./run/RunButton";
import { RunData } from "./run/RunData";
import { RunPanel } from "./run/RunPanel";

interface Slots {
  /** In the header: "Run" and what belongs to it. It sets the store's `run` for Ctrl+Enter. */
  RunButton: ComponentType | null;
  /** Below the canvas: the run that is shown, its progress; draws nothing while there is none. */
  RunPanel: ComponentType | null;
  /** A tab of the selected node: its input and output, pinning. */
  RunData: ComponentType<{ node: FlowNode }> | null;
}

export const slots: Slots = { RunButton, RunPanel, RunData };
