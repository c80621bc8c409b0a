/** Commands that pages give to the command palette. Part of the first load, so it must stay small. */
import type { ReactNode } from "react";
import { useEffect, useRef } from "react";

export type Group =
  | "Recent"
  | "This page"
  | "Nodes of this flow"
  | "Flows"
  | "Runs"
  | "Pages"
  | "Actions"
  | "Add a node";

export interface Command {
  /** The same at each visit: `page /runs`, `flow wf_1`. */
  id: string;
  label: string;
  group: Exclude<Group, "Recent">;
  /** A line below the label. */
  about?: string;
  /** Other words by which it is found. */
  words?: string;
  icon?: ReactNode;
  /** Its keyboard shortcut, such as "Ctrl + S". */
  keys?: string;
  /** True to list it only in a search: there are many of its kind. */
  searched?: boolean;
  /** True if the server found it: it is listed even if its words do not match. */
  found?: boolean;
  run: () => void;
}

type Provider = () => Command[];

const providers = new Set<Provider>();

/** Return the commands of the open page. */
export function providedCommands(): Command[] {
  return [...providers].flatMap((provide) => provide());
}

/** Give commands to the palette while the component is mounted. `provide` is called when the palette opens. */
export function useCommands(provide: Provider): void {
  const latest = useRef(provide);
  latest.current = provide;
  useEffect(() => {
    const provider = () => latest.current();
    providers.add(provider);
    return () => {
      providers.delete(provider);
    };
  }, []);
}
