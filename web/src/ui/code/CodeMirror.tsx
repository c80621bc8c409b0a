import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { json } from "@codemirror/lang-json";
import { bracketMatching, foldGutter, foldKeymap, indentOnInput, indentUnit } from "@codemirror/language";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, type Extension } from "@codemirror/state";
import { drawSelection, EditorView, keymap, lineNumbers, placeholder as placeholderOf } from "@codemirror/view";
import { useEffect, useRef } from "react";
import { colors, typedOver, usualKeys } from "./theme";

export type Language = "json" | "python" | "sql" | "markdown" | "html" | "text";

export interface CodeEditorProps {
  value: string;
  onChange?: (value: string) => void;
  language?: Language;
  readOnly?: boolean;
  /** Label for screen readers. */
  label: string;
  placeholder?: string;
  minHeight?: number;
  maxHeight?: string;
  /** True to take the focus when it is shown: it replaces something that the user clicked. */
  autoFocus?: boolean;
  /** More CodeMirror extensions: completion of expressions, problem markers. Keep the array stable between renders. */
  extensions?: Extension;
}

const NONCE = document.querySelector<HTMLMetaElement>("meta[name=csp-nonce]")?.content ?? "";

/** The languages but JSON, each loaded when it is first shown; together they weigh as much as the editor. */
const LANGUAGES: Record<Exclude<Language, "json" | "text">, () => Promise<Extension>> = {
  python: () => import("@codemirror/lang-python").then(({ python }) => python()),
  sql: () => import("@codemirror/lang-sql").then(({ sql }) => sql()),
  markdown: () => import("@codemirror/lang-markdown").then(({ markdown }) => markdown()),
  html: () => import("@codemirror/lang-html").then(({ html }) => html()),
};

const base: Extension = [
  EditorView.cspNonce.of(NONCE),
  history(),
  drawSelection(),
  indentOnInput(),
  indentUnit.of("    "),
  bracketMatching(),
  closeBrackets(),
  typedOver,
  autocompletion(),
  highlightSelectionMatches(),
  EditorView.lineWrapping,
  // Tab indents. Escape followed by Tab leaves the editor, CodeMirror's convention for keyboard users.
  keymap.of([
    ...closeBracketsKeymap,
    ...usualKeys,
    ...searchKeymap,
    ...historyKeymap,
    ...foldKeymap,
    ...completionKeymap,
    indentWithTab,
  ]),
  colors,
];

export default function CodeMirror(props: CodeEditorProps) {
  const {
    value,
    onChange,
    language = "text",
    readOnly = false,
    label,
    placeholder,
    minHeight = 120,
    maxHeight = "60vh",
    autoFocus = false,
    extensions,
  } = props;
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const tell = useRef(onChange);
  tell.current = onChange;
  const first = useRef({ value, autoFocus });
  const more = useRef(new Compartment());
  const grammar = useRef(new Compartment());

  // biome-ignore lint/correctness/useExhaustiveDependencies: the extensions have a compartment of their own, below
  useEffect(() => {
    if (place.current === null) return;
    const made = new EditorView({
      parent: place.current,
      doc: first.current.value,
      extensions: [
        base,
        grammar.current.of(language === "json" ? json() : []),
        more.current.of(extensions ?? []),
        language === "text" ? [] : [lineNumbers(), foldGutter()],
        EditorState.readOnly.of(readOnly),
        placeholder === undefined ? [] : placeholderOf(placeholder),
        EditorView.contentAttributes.of({
          "aria-label": label,
          tabindex: "0",
          ...(readOnly ? { "aria-readonly": "true" } : {}),
        }),
        EditorView.theme({ "&": { maxHeight }, ".cm-content, .cm-gutter": { minHeight: `${minHeight}px` } }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged && !update.transactions.some((one) => one.isUserEvent("outside"))) {
            tell.current?.(update.state.doc.toString());
          }
        }),
      ],
    });
    view.current = made;
    if (first.current.autoFocus) made.focus();
    if (language !== "json" && language !== "text") {
      const add = (loaded: Extension) => {
        if (view.current === made) made.dispatch({ effects: grammar.current.reconfigure(loaded) });
      };
      // Without its language the text can be edited all the same.
      LANGUAGES[language]().then(add, () => undefined);
    }
    return () => {
      first.current = { value: made.state.doc.toString(), autoFocus: false };
      made.destroy();
      view.current = null;
    };
  }, [language, readOnly, label, placeholder, minHeight, maxHeight]);

  useEffect(() => {
    view.current?.dispatch({ effects: more.current.reconfigure(extensions ?? []) });
  }, [extensions]);

  useEffect(() => {
    const made = view.current;
    if (made === null || made.state.doc.toString() === value) return;
    made.dispatch({ changes: { from: 0, to: made.state.doc.length, insert: value }, userEvent: "outside" });
  }, [value]);

  return <div ref={place} />;
}
