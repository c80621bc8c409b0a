/** CodeMirror extension: a dropped field becomes an expression, or a part of the expression that it is dropped into. */
import { EditorView } from "@codemirror/view";
import { insertionOf } from "./complete";
import { dragsPath, droppedPath } from "./picked";
import type { Path } from "./scope";

export function insertAt(view: EditorView, path: Path, position: number, userEvent: string): void {
  const insert = insertionOf(view.state.doc.toString(), position, path);
  view.dispatch({
    changes: { from: position, insert },
    selection: { anchor: position + insert.length },
    userEvent,
  });
  view.focus();
}

export function dropped(resolve: (path: Path) => Path) {
  return EditorView.domEventHandlers({
    dragover: (event) => {
      if (dragsPath(event)) event.preventDefault();
      return false;
    },
    drop: (event, view) => {
      const path = droppedPath(event);
      if (path === undefined) return false;
      event.preventDefault();
      event.stopPropagation();
      if (view.state.readOnly) return true;
      const position = view.posAtCoords({ x: event.clientX, y: event.clientY }, false);
      insertAt(view, resolve(path), position, "input.drop");
      return true;
    },
  });
}
