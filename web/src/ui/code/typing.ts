/** Typing over a selection, without the browser's own way of it. */
import type { Extension } from "@codemirror/state";
import { EditorView } from "@codemirror/view";

/**
 * Chromium keeps the looks of a text that is typed over by a style attribute, which our policy refuses, so that each
 * such key would be an error in the console. What handles input, such as that which closes brackets, is asked as usual.
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
