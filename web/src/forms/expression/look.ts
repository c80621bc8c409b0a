/** The style of an expression editor: like a Mantine input. */
import { EditorView } from "@codemirror/view";

export const look = EditorView.theme({
  "&": {
    fontSize: "var(--mantine-font-size-sm)",
    border: "1px solid var(--mantine-color-default-border)",
    borderRadius: "var(--mantine-radius-default)",
    background: "var(--mantine-color-body)",
    minHeight: "36px",
  },
  "&.cm-focused": { outline: "none", borderColor: "var(--mantine-primary-color-filled)" },
  ".cm-scroller": { lineHeight: "22px", overflow: "auto", fontFamily: "var(--mantine-font-family)" },
  ".cm-content": { padding: "6px 0" },
  ".cm-line": { padding: "0 12px" },
  ".cm-placeholder": { color: "var(--mantine-color-placeholder)" },
  "&.cm-invalid": { borderColor: "var(--mantine-color-error)" },
  ".cm-expression": {
    background: "color-mix(in srgb, var(--running) 12%, transparent)",
    borderRadius: "4px",
    padding: "1px 0",
    fontFamily: "var(--mantine-font-family-monospace)",
    fontSize: "13px",
  },
  ".cm-x-string": { color: "var(--code-string)" },
  ".cm-x-number": { color: "var(--code-number)" },
  ".cm-x-keyword": { color: "var(--code-keyword)" },
  ".cm-x-name": { color: "var(--code-name)" },
  ".cm-x-filter": { color: "var(--code-function)" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": {
    fontFamily: "var(--mantine-font-family-monospace)",
    maxHeight: "15em",
  },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "3px 8px", display: "flex", gap: "12px" },
  ".cm-completionDetail": {
    marginLeft: "auto",
    fontStyle: "normal",
    color: "var(--quiet)",
    overflow: "hidden",
    textOverflow: "ellipsis",
    whiteSpace: "nowrap",
    maxWidth: "22em",
  },
  "li[aria-selected] .cm-completionDetail": { color: "inherit" },
});
