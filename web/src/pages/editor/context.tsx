/** The store of the open flow, for all parts of its editor. */
import { createContext, type ReactNode, useContext } from "react";
import { useStore } from "zustand";
import { nodeOf } from "./changes";
import type { EditorState, EditorStore } from "./store";

const StoreContext = createContext<EditorStore | null>(null);

export function EditorProvider({ store, children }: { store: EditorStore; children: ReactNode }) {
  return <StoreContext.Provider value={store}>{children}</StoreContext.Provider>;
}

/** Return the store itself, for actions: `useEditorStore().getState().undo()`. */
export function useEditorStore(): EditorStore {
  const store = useContext(StoreContext);
  if (store === null) throw new Error("useEditorStore needs an EditorProvider above it");
  return store;
}

/** Return a part of the editor's state and re-render when it changes: `useEditor((state) => state.definition)`. */
export function useEditor<T>(part: (state: EditorState) => T): T {
  return useStore(useEditorStore(), part);
}

/** Return the selected node if exactly one is selected. */
export function useSelectedNode() {
  return useEditor((state) => {
    const [id] = state.selected;
    return state.selected.length === 1 && id !== undefined ? nodeOf(state.definition, id) : undefined;
  });
}
