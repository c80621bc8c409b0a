import { defaultKeymap } from "@codemirror/commands";
import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import type { Extension } from "@codemirror/state";
import { EditorView } from "@codemirror/view";
import { tags } from "@lezer/highlight";

/** Colors are CSS variables of the page, so light and dark need no separate themes. */
const look = EditorView.theme({
  "&": {
    fontSize: "13px",
    border: "1px solid var(--line)",
    borderRadius: "var(--mantine-radius-md)",
    background: "var(--card)",
    color: "var(--mantine-color-text)",
  },
  "&.cm-focused": { outline: "2px solid var(--mantine-primary-color-filled)", outlineOffset: "-1px" },
  ".cm-scroller": {
    fontFamily: "var(--mantine-font-family-monospace)",
    lineHeight: "1.55",
    overflow: "auto",
    // Clip the corners here instead of on the whole editor: in Safari the completion list is inside the editor.
    borderRadius: "inherit",
  },
  ".cm-gutters": { background: "transparent", border: "none", color: "var(--quiet)" },
  ".cm-cursor": { borderLeftColor: "var(--mantine-color-text)" },
  "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": {
    background: "color-mix(in srgb, var(--running) 25%, transparent) !important",
  },
  ".cm-tooltip": {
    background: "var(--card)",
    border: "1px solid var(--line)",
    borderRadius: "var(--mantine-radius-md)",
    overflow: "hidden",
  },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": {
    background: "var(--mantine-primary-color-filled)",
    color: "#fff",
  },
  ".cm-panels": { background: "var(--page)", color: "var(--mantine-color-text)", borderColor: "var(--line)" },
  ".cm-panels-bottom": { borderRadius: "0 0 var(--mantine-radius-md) var(--mantine-radius-md)" },
  ".cm-foldPlaceholder": {
    background: "var(--page)",
    border: "1px solid var(--line)",
    color: "var(--quiet)",
  },
});

const highlight = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword, tags.modifier], color: "var(--code-keyword)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--code-string)" },
  { tag: [tags.number, tags.bool, tags.null, tags.atom], color: "var(--code-number)" },
  {
    tag: [tags.propertyName, tags.attributeName, tags.definition(tags.variableName)],
    color: "var(--code-name)",
  },
  { tag: [tags.function(tags.variableName), tags.heading], color: "var(--code-function)" },
  { tag: [tags.comment, tags.meta], color: "var(--quiet)", fontStyle: "italic" },
  { tag: tags.invalid, color: "var(--failed)" },
]);

export const colors: Extension = [look, syntaxHighlighting(highlight)];

// Typing over a selection without the browser's default handling.

/** The usual keys without Ctrl+Enter, which would add an empty line: it runs the flow. */
export const usualKeys = defaultKeymap.filter((binding) => binding.key !== "Mod-Enter");

/**
 * Chromium keeps the style of replaced text in a style attribute. Our content security policy refuses it, so each such
 * key would log an error in the console. Input handlers, such as the one that closes brackets, still run.
 */
export const typedOver: Extension = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const { from, to, empty } = view.state.selection.main;
    const text = event.data;
    const simple = event.inputType === "insertText" && text !== null && !view.composing && !view.state.readOnly;
    if (!simple || empty || view.state.selection.ranges.length > 1) return false;
    const usual = () =>
      view.state.update(view.state.replaceSelection(text), { userEvent: "input.type", scrollIntoView: true });
    const handled = view.state.facet(EditorView.inputHandler).some((handler) => handler(view, from, to, text, usual));
    if (!handled) view.dispatch(usual());
    event.preventDefault();
    return true;
  },
});
