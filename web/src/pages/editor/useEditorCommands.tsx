/** The commands of the editor in the command palette: actions on the flow, its nodes, and node types to add. */
import {
  IconAlertTriangle,
  IconBraces,
  IconHistory,
  IconKeyboard,
  IconPlayerPlay,
  IconPlus,
  IconSearch,
  IconUpload,
} from "@tabler/icons-react";
import type { ReactNode } from "react";
import { useLocation } from "wouter";
import { type Command, useCommands, useVisited } from "@/app/commands/commands";
import { asRecentFlow } from "@/app/commands/items";

import { type Session, useSession } from "@/app/session";
import { nameOf } from "@/graph/nameOf";
import { NodeIcon } from "@/ui/NodeIcon";
import { useEditor, useEditorStore } from "./context";
import { addNode, fits, useEntries, whereNext } from "./palette/adding";
import type { Entry } from "./palette/rank";
import { publishDraft, wordsFor } from "./saving/remote";
import type { Saver } from "./saving/saver";
import { useSaver } from "./saving/useSaving";
import { calledIn, type EditorStore, isUnpublished } from "./store";
import { openFind, useUi } from "./ui";
import { openPalette } from "./useKeys";

function icon(Shown: typeof IconPlus): ReactNode {
  return <Shown size={18} stroke={1.7} aria-hidden />;
}

function onPage(id: string, label: string, shown: typeof IconPlus, run: () => void, keys?: string): Command {
  return { id: `editor ${id}`, label, group: "This page", icon: icon(shown), keys, run };
}

/** Return the actions that change or run the flow, as far as the user may. */
function changing(store: EditorStore, saver: Saver, may: Session["may"]): Command[] {
  const state = store.getState();
  const { selected, readOnly, flow } = state;
  const run = may("operator") ? state.run : null;
  const [only] = selected.length === 1 ? selected : [];
  const commands: Command[] = [];
  if (run !== null) commands.push(onPage("run", "Run this flow", IconPlayerPlay, () => run(), "Ctrl + Enter"));
  if (run !== null && only !== undefined && may("editor"))
    commands.push(
      onPage(
        "run node",
        `Run only “${calledIn(state, only)}”`,
        IconPlayerPlay,
        () => run(only),
        "Ctrl + Shift + Enter",
      ),
    );
  if (readOnly) return commands;
  if (isUnpublished(state))
    commands.push(
      onPage("publish", wordsFor(flow.status).action, IconUpload, () => void publishDraft(store, saver), "Ctrl + S"),
    );
  commands.push(onPage("add", "Add a node…", IconPlus, () => openPalette(store), "/"));
  return commands;
}

/** Return the actions that only show something. */
function showing(store: EditorStore, go: (path: string) => void): Command[] {
  const { set, json, problems } = useUi.getState();
  const { flow, check } = store.getState();
  const hasProblems = check !== null && check.problems.length > 0;
  return [
    onPage("find", "Find in this flow", IconSearch, openFind, "Ctrl + F"),
    onPage("json", json ? "Hide JSON" : "Show JSON", IconBraces, () => set({ json: !json })),
    ...(hasProblems
      ? [onPage("problems", "Show problems", IconAlertTriangle, () => set({ problems: !problems }))]
      : []),
    onPage("versions", "Versions of this flow", IconHistory, () => go(`/flows/${flow.id}/versions`)),
    onPage("runs", "Runs of this flow", IconPlayerPlay, () => go(`/runs?flow=${flow.id}`)),
    {
      ...onPage("keys", "Keyboard shortcuts", IconKeyboard, () => set({ keys: true }), "?"),
      // In place of the list for other pages.
      id: "action keys",
      group: "Actions",
      words: "help keys",
    },
  ];
}

function nodeCommands(store: EditorStore): Command[] {
  const { definition, catalogue, walkTo } = store.getState();
  return definition.nodes.map((node) => {
    const type = catalogue?.find(node.type);
    return {
      id: `node ${node.id}`,
      label: nameOf(node, type),
      group: "Nodes of this flow",
      about: `${type?.name ?? node.type}, steps.${node.id}`,
      icon: <NodeIcon type={type ?? { category: "" }} size={22} />,
      searched: true,
      run: () => walkTo(node.id),
    };
  });
}

function addingCommands(store: EditorStore, entries: readonly Entry[]): Command[] {
  if (store.getState().readOnly) return [];
  const where = whereNext(store.getState());
  return entries
    .filter((entry) => fits(entry, where))
    .map((entry) => ({
      id: `add ${entry.key}`,
      label: entry.name,
      group: "Add a node",
      about: entry.about,
      words: `${entry.word} ${entry.also}`,
      icon: <NodeIcon type={entry.type ?? { category: "" }} size={22} />,
      searched: true,
      run: () => void addNode(store.getState(), entry.node, where),
    }));
}

/** Give the commands of the open flow to the palette. */
export function useEditorCommands(): void {
  const store = useEditorStore();
  const saver = useSaver();
  const { entries } = useEntries();
  const [, go] = useLocation();
  const id = useEditor((state) => state.flow.id);
  const name = useEditor((state) => state.flow.name);
  const { may } = useSession();
  useVisited(asRecentFlow({ id, name }));
  useCommands(() => [
    ...changing(store, saver, may),
    ...showing(store, go),
    ...nodeCommands(store),
    ...addingCommands(store, entries),
  ]);
}
