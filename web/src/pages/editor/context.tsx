/** The store of the flow that is open, for all parts of its editor. */
import { createContext, type ReactNode, useContext } from "react";
import { useStore } from "zustand";
import { nodeOf } from "./changes";
import type { EditorState, EditorStore } from "./store";

const StoreContext = createContext<EditorStore | null>(null);

export function EditorProvider({ store, children }: { store: EditorStore; children: ReactNode }) {
  return <StoreContext.Provider value={store}>{children}</StoreContext.Provider>;
}

/** The store itself, for what is done and not shown: `useEditorStore().getState().undo()`. */
export function useEditorStore(): EditorStore {
  const store = useContext(StoreContext);
  if (store === null) throw new Error("useEditorStore needs an EditorProvider above it");
  return store;
}

/** A part of the editor's state; drawn anew when that part changes: `useEditor((state) => state.definition)`. */
export function useEditor<T>(part: (state: EditorState) => T): T {
  return useStore(useEditorStore(), part);
}

/** The node that is selected, where it is the only one. */
export function useSelectedNode() {
  return useEditor((state) => {
    const [id] = state.selected;
    return state.selected.length === 1 && id !== undefined ? nodeOf(state.definition, id) : undefined;
  });
}
