/** State shared by the fields of a form, besides their values. */
import { createContext, useContext } from "react";
import type { NodeType } from "@/api/catalogue";
import type { Definition, Json } from "@/definition/types";
import type { Path, Scope } from "./expression/scope";
import type { Problem } from "./schema/problems";
import type { FieldSchema } from "./schema/types";

/** The pinned output of a node that is not executed. */
export interface Pin {
  output: Json;
  branch?: string | null;
}

/** The node whose expressions are written. */
export interface NodeContext {
  flowId: string;
  definition: Definition;
  nodeId: string;
  /** The run whose values are shown; by default the flow's latest. */
  runId?: string;
  /** Pinned outputs by node, in the API's format. */
  pinned?: Record<string, Pin>;
}

/** Data for writing and previewing expressions; null in forms without expressions. */
export interface Expressions {
  flowId: string;
  definition: Definition;
  nodeId: string;
  /** The run whose values are shown; undefined if the flow has not run. */
  runId: string | undefined;
  pinned: Record<string, Pin>;
  scope: Scope;
  /** Load a node's output in that run into the scope. */
  load: (nodeId: string) => Promise<Json | undefined>;
}

export interface ActiveEditor {
  id: string | null;
  /** Report that an editor has the focus, with a function that inserts a path. */
  activate: (id: string, insert: (path: Path) => void) => void;
  /** Insert the path at the last cursor position. */
  insert: (path: Path) => void;
}

/** Runs the form's node, from within its form. */
export interface NodeRun {
  /** The label of the button, such as "Run this node". */
  label: string;
  start: () => void;
  /** True while a run is active. */
  busy: boolean;
  /** Why the last start was refused, or failed before this node. */
  problem: string | null;
}

export interface NodeFormProps {
  type: NodeType;
  value: Record<string, Json>;
  onChange: (next: Record<string, Json>) => void;
  context: NodeContext;
  /** The server's problems with this node's config. */
  problems?: readonly Problem[];
  readOnly?: boolean;
  /** The only settings to show, if not all. */
  only?: readonly string[];
  /** Runs the node; absent if it cannot be run from its form. */
  run?: NodeRun;
}

export interface FormState {
  readOnly: boolean;
  expressions: Expressions | null;
  run: NodeRun | null;
}

const FormContext = createContext<FormState>({ readOnly: false, expressions: null, run: null });
export const FormProvider = FormContext.Provider;
export function useForm(): FormState {
  return useContext(FormContext);
}

/** All settings of the form, for a field that changes or reads another one too. */
export interface Settings {
  schema: FieldSchema;
  value: Record<string, Json>;
  onChange: (next: Record<string, Json>) => void;
}

const SettingsContext = createContext<Settings>({ schema: {}, value: {}, onChange: () => {} });
export const SettingsProvider = SettingsContext.Provider;
export function useSettings(): Settings {
  return useContext(SettingsContext);
}

const ActiveContext = createContext<ActiveEditor>({ id: null, activate: () => {}, insert: () => {} });
export const ActiveProvider = ActiveContext.Provider;
export function useActive(): ActiveEditor {
  return useContext(ActiveContext);
}
