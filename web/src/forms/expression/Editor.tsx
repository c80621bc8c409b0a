/** A text field with expressions, single-line or multi-line. Loaded when the first one is shown. */
import { closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { bracketMatching } from "@codemirror/language";
import { Compartment, EditorState, type Extension, Prec } from "@codemirror/state";
import { drawSelection, EditorView, keymap, placeholder as placeholderOf } from "@codemirror/view";
import { useEffect, useRef } from "react";
import type { Json } from "@/definition/types";
import { colors } from "@/ui/code/theme";
import { typedOver } from "@/ui/code/typing";
import { dropped, insertAt } from "./drop";
import { colours, completionFrom, type Source } from "./extensions";
import { look } from "./look";
import { pathIn } from "./picked";
import type { Path, Scope } from "./scope";

export interface EditorProps {
  id: string;
  value: string;
  onChange: (value: string) => void;
  label: string;
  describedBy?: string;
  invalid?: boolean;
  required?: boolean;
  readOnly?: boolean;
  multiline?: boolean;
  placeholder?: string;
  scope: Scope;
  load: (nodeId: string) => Promise<Json | undefined>;
  /** Called on focus, with a function that inserts a path at the cursor. */
  onFocus: (insert: (path: Path) => void) => void;
  autoFocus?: boolean;
  /** More CodeMirror extensions, such as markers of errors. Keep the array stable between renders. */
  extensions?: Extension;
  /** Called with the editor, to insert text into it. */
  onReady?: (view: EditorView) => void;
  /** Open the full-screen editor, for Alt+Enter. */
  onExpand?: () => void;
}

const NONCE = document.querySelector<HTMLMetaElement>("meta[name=csp-nonce]")?.content ?? "";

/** In a single-line field Enter inserts nothing, and pasted text loses its line breaks. */
const oneLine: Extension = [
  Prec.high(keymap.of([{ key: "Enter", run: () => true }])),
  EditorState.transactionFilter.of((transaction) =>
    transaction.docChanged && transaction.newDoc.lines > 1 && transaction.isUserEvent("input.paste")
      ? [transaction, { changes: joined(transaction.newDoc.toString()), sequential: true }]
      : transaction,
  ),
];

function joined(text: string): { from: number; to: number; insert: string }[] {
  return [...text.matchAll(/\s*\n\s*/g)].map((found) => ({
    from: found.index,
    to: found.index + found[0].length,
    insert: " ",
  }));
}

function attributesOf(props: EditorProps): Record<string, string> {
  return {
    id: props.id,
    "aria-label": props.label,
    "aria-multiline": String(props.multiline ?? false),
    ...(props.describedBy ? { "aria-describedby": props.describedBy } : {}),
    ...(props.invalid ? { "aria-invalid": "true" } : {}),
    ...(props.required ? { "aria-required": "true" } : {}),
    ...(props.readOnly ? { "aria-readonly": "true" } : {}),
  };
}

function extensionsOf(latest: { current: EditorProps }, source: Source): Extension {
  return [
    EditorView.cspNonce.of(NONCE),
    history(),
    drawSelection(),
    typedOver,
    bracketMatching(),
    closeBrackets(),
    completionFrom(source),
    dropped((path) => pathIn(latest.current.scope, path)),
    EditorView.lineWrapping,
    Prec.high(
      keymap.of([
        {
          key: "Alt-Enter",
          run: () => {
            latest.current.onExpand?.();
            return latest.current.onExpand !== undefined;
          },
        },
      ]),
    ),
    keymap.of([...closeBracketsKeymap, ...completionKeymap, ...defaultKeymap, ...historyKeymap]),
    colors,
    Prec.high(look),
    colours,
    EditorView.updateListener.of((update) => {
      if (update.docChanged && !update.transactions.some((one) => one.isUserEvent("outside"))) {
        latest.current.onChange(update.state.doc.toString());
      }
      if (update.focusChanged && update.view.hasFocus) {
        const { view } = update;
        latest.current.onFocus((path) =>
          insertAt(view, pathIn(latest.current.scope, path), view.state.selection.main.head, "input"),
        );
      }
    }),
  ];
}

/** Options that may change while the user types. */
function changing(props: EditorProps): Extension {
  const { placeholder = "", readOnly = false, multiline = false, value, invalid } = props;
  return [
    EditorState.readOnly.of(readOnly),
    EditorView.editable.of(!readOnly),
    multiline || value.includes("\n") ? EditorView.theme({ ".cm-content": { minHeight: "4.5em" } }) : oneLine,
    placeholder === "" ? [] : placeholderOf(placeholder),
    EditorView.contentAttributes.of(attributesOf(props)),
    EditorView.editorAttributes.of({ class: invalid ? "cm-invalid" : "" }),
    EditorView.theme({ "&": { maxHeight: "40vh" } }),
  ];
}

export default function Editor(props: EditorProps) {
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const parts = useRef(new Compartment());
  const more = useRef(new Compartment());

  useEffect(() => {
    if (place.current === null) return;
    const source: Source = {
      scope: () => latest.current.scope,
      load: (nodeId) => latest.current.load(nodeId),
    };
    const made = new EditorView({
      parent: place.current,
      doc: latest.current.value,
      extensions: [
        parts.current.of(changing(latest.current)),
        more.current.of(latest.current.extensions ?? []),
        extensionsOf(latest, source),
      ],
    });
    view.current = made;
    latest.current.onReady?.(made);
    if (latest.current.autoFocus) {
      made.focus();
      made.dispatch({ selection: { anchor: made.state.doc.length } });
    }
    return () => {
      made.destroy();
      view.current = null;
    };
  }, []);

  const { id, label, describedBy, invalid, required, readOnly, multiline, placeholder } = props;
  const hasLines = props.value.includes("\n");
  // biome-ignore lint/correctness/useExhaustiveDependencies: only the props that `changing` reads, not those that change with each keystroke
  useEffect(() => {
    view.current?.dispatch({ effects: parts.current.reconfigure(changing(latest.current)) });
  }, [id, label, describedBy, invalid, required, readOnly, multiline, placeholder, hasLines]);

  const { extensions } = props;
  useEffect(() => {
    view.current?.dispatch({ effects: more.current.reconfigure(extensions ?? []) });
  }, [extensions]);

  useEffect(() => {
    const made = view.current;
    if (made === null || made.state.doc.toString() === props.value) return;
    made.dispatch({
      changes: { from: 0, to: made.state.doc.length, insert: props.value },
      userEvent: "outside",
    });
  }, [props.value]);

  return <div ref={place} />;
}
