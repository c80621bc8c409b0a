/** Renaming by keyboard: the name of the selected node, group or note is in the panel. */
import { noteOf } from "@/definition/annotations";
import type { EditorStore } from "./store";
import { useUi } from "./ui";

const FRAMES = 60;

/** Focus the name in the panel once it is rendered, with its text selected. */
function focusName(frames = FRAMES): void {
  const field = document.querySelector<HTMLInputElement>("[data-panel] input[data-name]");
  if (field === null) {
    if (frames > 0) requestAnimationFrame(() => focusName(frames - 1));
    return;
  }
  field.focus();
  field.select();
}

/** Let the user rename the selected element; of a note, write its text. Several have no name. */
export function renameSelected(store: EditorStore): void {
  const { selected, readOnly, definition, setWriting } = store.getState();
  const [key] = selected;
  if (readOnly || key === undefined || selected.length > 1) return;
  if (noteOf(definition, key) !== undefined) {
    setWriting(key);
    return;
  }
  useUi.getState().keep({ panel: true });
  requestAnimationFrame(() => focusName());
}
