/** Typing over a selection without the browser's default handling. */
import type { Extension } from "@codemirror/state";
import { EditorView } from "@codemirror/view";

/**
 * Chromium keeps the style of replaced text in a style attribute. Our content security policy refuses it, so each such
 * key would log an error in the console. Input handlers, such as the one that closes brackets, still run.
 */
export const typedOver: Extension = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const { from, to, empty } = view.state.selection.main;
    const text = event.data;
    const simple =
      event.inputType === "insertText" && text !== null && !view.composing && !view.state.readOnly;
    if (!simple || empty || view.state.selection.ranges.length > 1) return false;
    const usual = () =>
      view.state.update(view.state.replaceSelection(text), { userEvent: "input.type", scrollIntoView: true });
    const handled = view.state
      .facet(EditorView.inputHandler)
      .some((handler) => handler(view, from, to, text, usual));
    if (!handled) view.dispatch(usual());
    event.preventDefault();
    return true;
  },
});
