/** What the fields of a form share beside their values. */
import { createContext, useContext } from "react";
import type { Definition, Json } from "@/definition/types";
import type { Path, Scope } from "./expression/scope";

/** What is taken for the output of a node that is not executed. */
export interface Pin {
  output: Json;
  branch?: string | null;
}

/** What expressions can be written and tried with; there is none in forms that know no expressions. */
export interface Expressions {
  flowId: string;
  definition: Definition;
  nodeId: string;
  /** The run whose values are shown; undefined while the flow has not run. */
  runId: string | undefined;
  pinned: Record<string, Pin>;
  scope: Scope;
  /** Asks for the output of a node in that run; the scope has it once it is there. */
  load: (nodeId: string) => Promise<Json | undefined>;
}

export interface ActiveEditor {
  id: string | null;
  /** Tells that an editor has the focus, and how to write a path into it. */
  activate: (id: string, insert: (path: Path) => void) => void;
  /** Writes the path where the cursor was last. */
  insert: (path: Path) => void;
}

export interface FormState {
  readOnly: boolean;
  expressions: Expressions | null;
}

const FormContext = createContext<FormState>({ readOnly: false, expressions: null });
export const FormProvider = FormContext.Provider;
export function useForm(): FormState {
  return useContext(FormContext);
}

const ActiveContext = createContext<ActiveEditor>({ id: null, activate: () => {}, insert: () => {} });
export const ActiveProvider = ActiveContext.Provider;
export function useActive(): ActiveEditor {
  return useContext(ActiveContext);
}
