/**
 * Where the parts of others come into the editor. Each reads what it needs with `useEditor`; the frame only gives it a
 * place. A part that is `null` has no place.
 */
import type { ComponentType } from "react";
import type { NodeType } from "@/api/catalogue";
import type { FlowNode, Json } from "@/definition/types";
import type { Problem } from "./problems";

export interface ConfigFormProps {
  node: FlowNode;
  type: NodeType;
  problems: readonly Problem[];
  readOnly: boolean;
  /** The field that a problem points to, such as `url`; a new object each time that it is asked for. */
  field: { path: string; at: number } | null;
  onChange: (config: Record<string, Json>) => void;
}

interface Slots {
  /** The form of a node's config. */
  ConfigForm: ComponentType<ConfigFormProps> | null;
  /** In the header: "Run" and what belongs to it. It sets the store's `run` for Ctrl+Enter. */
  RunButton: ComponentType | null;
  /** Below the canvas: the run that is shown, its progress; draws nothing while there is none. */
  RunPanel: ComponentType | null;
  /** A tab of the selected node: its input and output, pinning. */
  RunData: ComponentType<{ node: FlowNode }> | null;
}

export const slots: Slots = { ConfigForm: null, RunButton: null, RunPanel: null, RunData: null };
