/** CodeMirror extensions of the expression editor: colors and completion, built on the pure functions beside it. */
import {
  autocompletion,
  type Completion,
  type CompletionContext,
  type CompletionResult,
  startCompletion,
} from "@codemirror/autocomplete";
import type { Extension, Range } from "@codemirror/state";
import { Decoration, type DecorationSet, EditorView, ViewPlugin, type ViewUpdate } from "@codemirror/view";
import type { Json } from "@/definition/types";
import { complete, type Option, wantedStep } from "./complete";
import { regionsOf, tokensOf } from "./regions";
import type { Scope } from "./scope";

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

export const colours: Extension = ViewPlugin.fromClass(
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

export interface Source {
  scope: () => Scope;
  /** Load the output of a node in the last run. */
  load: (nodeId: string) => Promise<Json | undefined>;
}

function withOutput(scope: Scope, id: string, output: Json | undefined): Scope {
  return { ...scope, steps: scope.steps.map((one) => (one.id === id ? { ...one, output } : one)) };
}

export function completionFrom(source: Source): Extension {
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
