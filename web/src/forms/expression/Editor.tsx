/** A text field with expressions, single-line or multi-line. Loaded when the first one is shown. */

import {
  autocompletion,
  type Completion,
  type CompletionContext,
  type CompletionResult,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
  startCompletion,
} from "@codemirror/autocomplete";
import { history, historyKeymap } from "@codemirror/commands";
import { bracketMatching } from "@codemirror/language";
import { Compartment, EditorState, type Extension, Prec, type Range } from "@codemirror/state";
import {
  Decoration,
  type DecorationSet,
  drawSelection,
  EditorView,
  keymap,
  placeholder as placeholderOf,
  ViewPlugin,
  type ViewUpdate,
} from "@codemirror/view";
import { useEffect, useRef } from "react";
import type { Json } from "@/definition/types";
import { colors, typedOver, usualKeys } from "@/ui/code/theme";
import { complete, insertionAt, type Option, wantedStep } from "./complete";
import { regionsOf, tokensOf } from "./regions";
import { dragsPath, droppedPath, type Path, pathIn, type Scope } from "./scope";

// CodeMirror extension: a dropped field becomes an expression, or a part of the expression that it is dropped into.

function put(view: EditorView, change: { from: number; to: number; insert: string }, userEvent: string): void {
  view.dispatch({ changes: change, selection: { anchor: change.from + change.insert.length }, userEvent });
  view.focus();
}

/** Insert a path at the cursor, or in place of the selection. */
export function insertPath(view: EditorView, path: Path): void {
  const { from, to } = view.state.selection.main;
  put(view, insertionAt(view.state.doc.toString(), path, from, to), "input");
}

function dropped(resolve: (path: Path) => Path) {
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
      put(view, insertionAt(view.state.doc.toString(), resolve(path), position), "input.drop");
      return true;
    },
  });
}

// The style of an expression editor: like a Mantine input.

const look = EditorView.theme({
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

// CodeMirror extensions of the expression editor: colors and completion, built on the pure functions beside it.

const around = Decoration.mark({ class: "cm-expression" });

function decorate(view: EditorView): DecorationSet {
  const text = view.state.doc.toString();
  const found: Range<Decoration>[] = [];
  for (const region of regionsOf(text)) {
    found.push(around.range(region.from, region.to));
    for (const token of tokensOf(text, region)) {
      found.push(Decoration.mark({ class: `cm-x-${token.part}` }).range(token.from, token.to));
    }
  }
  return Decoration.set(found, true);
}

const colours: Extension = ViewPlugin.fromClass(
  class {
    decorations: DecorationSet;
    constructor(view: EditorView) {
      this.decorations = decorate(view);
    }
    update(update: ViewUpdate) {
      if (update.docChanged) this.decorations = decorate(update.view);
    }
  },
  { decorations: (plugin) => plugin.decorations },
);

const ICON: Record<Option["type"], string> = {
  name: "variable",
  key: "property",
  function: "function",
  filter: "method",
  keyword: "keyword",
};

/** Insert an option, and continue completing after an open bracket or a name with more keys. */
function write(view: EditorView, option: Option, from: number, to: number): void {
  const insert = option.insert ?? option.label;
  const start = option.from ?? from;
  const isCall = insert.endsWith("()");
  const takesNothing = option.detail === "()";
  view.dispatch({
    changes: { from: start, to, insert },
    selection: { anchor: start + insert.length - (isCall && !takesNothing ? 1 : 0) },
    userEvent: "input.complete",
  });
}

function completionOf(option: Option, boost: number): Completion {
  return {
    label: option.label,
    detail: option.detail,
    type: ICON[option.type],
    boost,
    apply: (view, _completion, from, to) => write(view, option, from, to),
  };
}

const BOOST: Record<Option["type"], number> = { key: 3, name: 2, function: 1, filter: 1, keyword: 0 };

interface Source {
  scope: () => Scope;
  /** Load the output of a node in the last run. */
  load: (nodeId: string) => Promise<Json | undefined>;
}

function withOutput(scope: Scope, id: string, output: Json | undefined): Scope {
  return { ...scope, steps: scope.steps.map((one) => (one.id === id ? { ...one, output } : one)) };
}

function completionFrom(source: Source): Extension {
  async function offer(context: CompletionContext): Promise<CompletionResult | null> {
    const text = context.state.doc.toString();
    const step = wantedStep(text, context.pos);
    let scope = source.scope();
    if (step !== undefined && scope.steps.some((one) => one.id === step && one.output === undefined)) {
      scope = withOutput(scope, step, await source.load(step));
    }
    if (context.aborted) return null;
    const found = complete(text, context.pos, scope);
    if (found === null) return null;
    return {
      from: found.from,
      to: found.to,
      options: found.options.map((option) => completionOf(option, BOOST[option.type])),
      validFor: /^\w*$/,
    };
  }
  return [
    autocompletion({ override: [offer], icons: false, activateOnTyping: true, maxRenderedOptions: 60 }),
    // A dot, a pipe and opening braces trigger completion, as letters do.
    EditorView.inputHandler.of((view, from, to, text) => {
      if (!/[.|{ "]$/.test(text)) return false;
      queueMicrotask(() => {
        const position = from + text.length;
        if (view.state.selection.main.head >= position && to >= from) startCompletion(view);
      });
      return false;
    }),
  ];
}

interface EditorProps {
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
    keymap.of([...closeBracketsKeymap, ...completionKeymap, ...usualKeys, ...historyKeymap]),
    colors,
    Prec.high(look),
    colours,
    EditorView.updateListener.of((update) => {
      if (update.docChanged && !update.transactions.some((one) => one.isUserEvent("outside"))) {
        latest.current.onChange(update.state.doc.toString());
      }
      if (update.focusChanged && update.view.hasFocus) {
        const { view } = update;
        latest.current.onFocus((path) => insertPath(view, pathIn(latest.current.scope, path)));
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
