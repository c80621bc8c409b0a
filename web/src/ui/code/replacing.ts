/**
 * Chromium writes a style attribute of its own where one types over coloured text; the policy of the page refuses that
 * and reports it. So what is typed over a selection takes its place here, before the browser does it.
 */
import { EditorView } from "@codemirror/view";

export const replacing = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const { from, to, empty } = view.state.selection.main;
    const text = event.data;
    const isTyped = event.inputType === "insertText" && text !== null && !event.isComposing;
    if (!isTyped || empty || view.composing || view.state.readOnly) return false;
    const insert = () => view.state.update(view.state.replaceSelection(text), { userEvent: "input.type" });
    const handlers = view.state.facet(EditorView.inputHandler);
    if (!handlers.some((handle) => handle(view, from, to, text, insert))) view.dispatch(insert());
    return true;
  },
});
